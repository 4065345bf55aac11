import { randomUUID } from 'node:crypto';
import { ScanCommand, type ScanCommandInput } from '@aws-sdk/client-dynamodb';
import { MAX_PUSHES } from '@restante/shared/delivery/wake';
import { dueAddCalls, dueAt } from '@restante/shared/inbox/due-queue-redis';
import { parseDueCheck } from '@restante/shared/inbox/inbox-redis';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { sleep } from '@restante/shared/runtime/sleep';
import type { CommitBarrier, Cut } from './commit-barrier.ts';
import { metrics } from './events.ts';
import { missingFrom, type OwedContext } from './owed.ts';
import type { Rebuilds } from './rebuilds.ts';

/** One process a round: whoever takes the turn. */
const TURN_KEY = 'reconcile:turn';
/** Where the next round goes on in `devices`, so that in time everybody is looked at. Lost: from the start. */
const FROM_KEY = 'reconcile:from';
/** A finding counts once it is still there after this: what was just being written is there by then. */
const CONFIRM_MS = 2_000;
/** Messaging may be down: the round is given up, the next one comes. */
const BARRIER_MS = 10_000;

export type ReconcilerContext = OwedContext & {
  barrier: CommitBarrier;
  rebuilds: Rebuilds;
  logger: Logger;
  everyMs: number;
  /** Users in a round. */
  users: number;
};

/**
 * Compares, for some users a round, the history with their cursors and inboxes: a message that is owed and that nothing will bring is
 * stranded, by a bug or by a hand in Redis. It is counted, and the inbox rebuilt. Nothing relies on this: it is to find nothing.
 */
export class Reconciler {
  readonly #context: ReconcilerContext;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(context: ReconcilerContext) {
    this.#context = context;
  }

  start(): void {
    if (this.#context.everyMs > 0) this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { inbox, logger, everyMs } = this.#context;
    for (;;) {
      await sleep(everyMs, signal);
      if (signal.aborted) return;
      try {
        const turn = await inbox.store.client.set(TURN_KEY, randomUUID(), 'PX', Math.ceil(everyMs * 0.9), 'NX');
        if (turn === 'OK') await this.round();
      } catch (error) {
        logger.warn({ err: messageOf(error) }, 'reconciler: round given up');
      }
    }
  }

  /** Looks at the next users. @returns how many messages were stranded @throws where a store or messaging is away */
  async round(): Promise<number> {
    const users = await this.#nextUsers();
    if (users.length === 0) return 0;
    const cut = await this.#context.barrier.passed(
      AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(BARRIER_MS)]),
    );
    const suspects = new Map<string, Set<string>>();
    for (const user of users) {
      if (this.#stopping.signal.aborted) return 0;
      const found = await this.#look(user, cut);
      if (found.size > 0) suspects.set(user, found);
      else metrics.reconciled.inc({ outcome: 'whole' });
    }
    if (suspects.size === 0) return 0;
    await sleep(CONFIRM_MS, this.#stopping.signal);
    let stranded = 0;
    for (const [user, before] of suspects) {
      const now = await this.#look(user, cut);
      const confirmed = [...now].filter((item) => before.has(item));
      metrics.reconciled.inc({ outcome: confirmed.length > 0 ? 'stranded' : 'whole' });
      if (confirmed.length === 0) continue;
      stranded += confirmed.length;
      await this.#repair(user, confirmed);
    }
    return stranded;
  }

  /** What is stranded of a user, by name: messages that the inbox lacks; and all that is unacked, where nobody would look at it. */
  async #look(user: string, cut: Cut): Promise<Set<string>> {
    const { inbox } = this.#context;
    const missing = await missingFrom(user, cut, this.#context);
    const found = new Set(missing.map(({ conversation, position }) => `${conversation} ${position}`));
    const [reply] = await inbox.run([inbox.dueCheckCall(user)]);
    const state = parseDueCheck(reply!);
    if (state.is !== 'whole' || state.furthest >= state.tail) return found;
    // After the last push nothing more is tried until something comes: that is no loss.
    if (state.tries >= MAX_PUSHES && state.tail <= state.push.pushedTail) return found;
    if ((await dueAt(inbox.store, user)) !== undefined) return found;
    for (let seq = state.furthest + 1; seq <= state.tail; seq++) found.add(`seq ${state.gen}/${seq}`);
    return found;
  }

  async #repair(user: string, stranded: readonly string[]): Promise<void> {
    const { inbox, rebuilds, logger } = this.#context;
    metrics.stranded.inc(stranded.length);
    logger.error(
      { user, stranded: stranded.length, some: stranded.slice(0, 5) },
      'reconciler: messages are owed that nothing would have brought: rebuilding the inbox',
    );
    if (stranded.some((name) => !name.startsWith('seq '))) {
      await inbox.distrust(user);
      await rebuilds.rebuilt(user);
    }
    await inbox.run(dueAddCalls([{ user, atMs: Date.now() }]));
  }

  async #nextUsers(): Promise<string[]> {
    const { inbox, dynamo, users } = this.#context;
    const { client } = inbox.store;
    const from = await client.get(FROM_KEY);
    const { Items, LastEvaluatedKey } = await dynamo.send(
      new ScanCommand({
        TableName: 'devices',
        ProjectionExpression: '#u',
        ExpressionAttributeNames: { '#u': 'user' },
        Limit: users,
        ...(from === null
          ? {}
          : { ExclusiveStartKey: JSON.parse(from) as NonNullable<ScanCommandInput['ExclusiveStartKey']> }),
      }),
    );
    if (LastEvaluatedKey) await client.set(FROM_KEY, JSON.stringify(LastEvaluatedKey));
    else await client.del(FROM_KEY);
    return [...new Set((Items ?? []).map((item) => item.user?.S ?? ''))];
  }
}
