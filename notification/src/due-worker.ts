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
import { sleep } from '@restante/shared/runtime/sleep';
import type { DueRefill } from './due-refill.ts';
import { metrics } from './events.ts';
import { publish } from './pages.ts';
import type { ConsolePush, Push } from './push-console.ts';
import type { Rebuilds } from './rebuilds.ts';

const POLL_MS = 250;
/** Users claimed at once from each shard; more wait for the next look. */
const CLAIM_USERS = 100;
/** A worker that dies gives its claims back after this. */
const CLAIM_MS = 30_000;
const RETRY_MS = 2_000;

export type DueContext = {
  inbox: Inbox;
  dynamo: DynamoDBClient;
  leases: SlotLeases;
  producer: BatchingProducer;
  rebuilds: Rebuilds;
  push: ConsolePush;
  refill: DueRefill;
  rules: WakeRules;
  logger: Logger;
};

type Whole = Extract<DueState, { is: 'whole' }>;

/** Looks after who is due: probes sessions that lag, wakes users that nobody reaches, rebuilds inboxes that were lost (decision 15). */
export class DueWorker {
  readonly #context: DueContext;
  readonly #stopping = new AbortController();
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
      if (decision.push) pushes.push({ claim, state, decision });
      else settled.push({ ...claim, nextAtMs: decision.nextAtMs });
      if (decision.note)
        notes.push(
          inbox.dueNoteCall(claim.user, state.gen, decision.note.probedCursor, decision.note.tries, decision.push),
        );
    }
    publish(outgoing, producer, logger);
    await Promise.all(pushes.map(async (one) => settled.push(await this.#push(one.claim, one.state, one.decision))));
    await inbox.run(notes);
    await settleDue(inbox.store, settled);
  }

  #decide(state: Whole): WakeDecision {
    const { leases, rules } = this.#context;
    const sessions = state.sessions.filter(({ slot, lease }) => leases.isAlive(slot, lease));
    const { tail, furthest, tries, probe } = state;
    return decideWake({ nowMs: Date.now(), tail, furthest, sessions, tries, probe }, rules);
  }

  /** One wake-up for each device. @returns when to look again */
  async #push(claim: Claim, state: Whole, decision: WakeDecision): Promise<Settlement> {
    const { dynamo, push, logger } = this.#context;
    try {
      const devices = await readDevices(dynamo, claim.user);
      const pushes = devices.map(
        ({ device }): Push => ({
          user: claim.user,
          device,
          platform: 'none',
          silent: true,
          collapseKey: 'inbox',
          pending: state.tail - state.furthest,
          urgent: true,
        }),
      );
      await push.send(pushes);
      metrics.pushes.inc({ outcome: 'sent' }, pushes.length);
      return { ...claim, nextAtMs: decision.nextAtMs };
    } catch (error) {
      metrics.pushes.inc({ outcome: 'failed' });
      logger.warn({ user: claim.user, err: messageOf(error) }, 'push failed: tried again');
      return { ...claim, nextAtMs: Date.now() + RETRY_MS };
    }
  }
}
