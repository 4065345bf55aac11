import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import { decideWake, type WakeDecision, type WakeRules } from '@restante/shared/delivery/wake';
import { readDevices } from '@restante/shared/inbox/devices-dynamo';
import { type Claim, claimDue, type Settlement, settleDue } from '@restante/shared/inbox/due-queue-redis';
import { type DueState, type Inbox, parseDueCheck } from '@restante/shared/inbox/inbox-redis';
import type { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { ScriptCall } from '@restante/shared/runtime/redis';
import { backoffMs, sleep } from '@restante/shared/runtime/sleep';
import { LRUCache } from 'lru-cache';
import type { DueRefill } from './due-refill.ts';
import { metrics } from './events.ts';
import { publish } from './pages.ts';
import { COLLAPSE_KEY, type PushProvider } from './push.ts';
import type { Rebuilds } from './rebuilds.ts';
import type { Wakes } from './wakes.ts';

const POLL_MS = 250;
/** Users claimed at once from each shard; more wait for the next look. */
const CLAIM_USERS = 100;
/** A worker that dies gives its claims back after this. */
const CLAIM_MS = 30_000;
const RETRY_MS = 2_000;
const RETRY_CAP_MS = 3_600_000;
const MAX_FAILING_USERS = 10_000;

export type DueContext = {
  inbox: Inbox;
  dynamo: DynamoDBClient;
  leases: SlotLeases;
  producer: BatchingProducer;
  rebuilds: Rebuilds;
  push: PushProvider;
  wakes: Wakes;
  refill: DueRefill;
  rules: WakeRules;
  logger: Logger;
};

type Whole = Extract<DueState, { is: 'whole' }>;

/** Looks after who is due: probes sessions that lag, wakes users that nobody reaches, rebuilds inboxes that were lost (decision 15). */
export class DueWorker {
  readonly #context: DueContext;
  readonly #stopping = new AbortController();
  readonly #failures = new LRUCache<string, number>({ max: MAX_FAILING_USERS });
  #running: Promise<void> = Promise.resolve();

  constructor(context: DueContext) {
    this.#context = context;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const { claims, lost } = await claimDue(this.#context.inbox.store, CLAIM_USERS, CLAIM_MS);
        if (lost.length > 0) this.#context.refill.fill(lost);
        if (claims.length > 0) await this.#look(claims);
      } catch (error) {
        // Claims that were not settled are due again.
        this.#context.logger.warn({ err: messageOf(error) }, 'due queue');
        await sleep(POLL_MS * 4, signal);
      }
      await sleep(POLL_MS, signal);
    }
  }

  async #look(claims: readonly Claim[]): Promise<void> {
    const { inbox, producer, logger, rebuilds } = this.#context;
    const replies = await inbox.run(claims.map(({ user }) => inbox.dueCheckCall(user)));
    const outgoing = new OutgoingBatch();
    const notes: ScriptCall[] = [];
    const settled: Settlement[] = [];
    const pushes: { claim: Claim; state: Whole; decision: WakeDecision }[] = [];
    for (const [i, claim] of claims.entries()) {
      const state = parseDueCheck(replies[i]!);
      if (state.is !== 'whole') {
        // Nothing can be said of an inbox that is lost: it is rebuilt first, and looked at again.
        metrics.due.inc({ action: 'rebuild' });
        void rebuilds.rebuilt(claim.user);
        settled.push({ ...claim, nextAtMs: Date.now() + RETRY_MS });
        continue;
      }
      const decision = this.#decide(state);
      for (const { conn, slot } of decision.probe)
        outgoing.add(slot, { t: 'probe', conn, gen: state.gen, tail: state.tail });
      metrics.due.inc({ action: decision.push ? 'push' : decision.probe.length > 0 ? 'probe' : 'nothing' });
      if (decision.push) {
        pushes.push({ claim, state, decision });
        continue;
      }
      settled.push({ ...claim, nextAtMs: decision.nextAtMs });
      if (decision.note) notes.push(inbox.dueNoteCall(claim.user, state.gen, decision.note));
    }
    publish(outgoing, producer, logger);
    await Promise.all(
      pushes.map(async ({ claim, state, decision }) => {
        const pushed = await this.#push(claim.user, state);
        settled.push({ ...claim, nextAtMs: pushed === 'refused' ? this.#retryAtMs(claim.user) : decision.nextAtMs });
        // Only what went out counts; a refusal is tried again soon.
        if (pushed === 'refused') return;
        notes.push(inbox.dueNoteCall(claim.user, state.gen, { ...decision.note!, wentOut: pushed === 'went out' }));
      }),
    );
    await inbox.run(notes);
    await settleDue(inbox.store, settled);
  }

  #decide(state: Whole): WakeDecision {
    const { leases, rules } = this.#context;
    const sessions: Whole['sessions'] = [];
    const unseen: Whole['sessions'] = [];
    for (const session of state.sessions)
      (leases.isAlive(session.slot, session.lease) ? sessions : unseen).push(session);
    const { tail, furthest, tries, probe, push } = state;
    return decideWake({ nowMs: Date.now(), tail, furthest, sessions, unseen, tries, probe, push }, rules);
  }

  /** One wake-up for each device. @returns refused where the provider did, or DynamoDB is away: tried again */
  async #push(user: string, state: Whole): Promise<'went out' | 'no device' | 'refused'> {
    const { dynamo, push, logger } = this.#context;
    try {
      const devices = await readDevices(dynamo, user);
      const outcomes = await push.send(
        devices.map(({ device, push: registration }) => ({
          user,
          device,
          registration,
          silent: true,
          collapseKey: COLLAPSE_KEY,
          pending: state.tail - state.furthest,
          urgent: state.push.urgent,
        })),
      );
      for (const outcome of outcomes) metrics.pushes.inc({ outcome });
      if (outcomes.includes('failed')) return 'refused';
      this.#failures.delete(user);
      if (outcomes.length === 0) return 'no device';
      this.#context.wakes.pushed(user);
      return 'went out';
    } catch (error) {
      metrics.pushes.inc({ outcome: 'failed' });
      logger.warn({ user, err: messageOf(error) }, 'push failed: tried again');
      return 'refused';
    }
  }

  /** 2, 4, 8, 16 … s after refusals in a row, each between half and all of it. */
  #retryAtMs(user: string): number {
    const failures = this.#failures.get(user) ?? 0;
    this.#failures.set(user, failures + 1);
    return Date.now() + backoffMs(failures, RETRY_MS, RETRY_CAP_MS, this.#context.rules.random);
  }
}
