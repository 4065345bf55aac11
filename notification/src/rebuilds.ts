import { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import { parseReplay } from '@restante/shared/inbox/inbox-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { sleep } from '@restante/shared/runtime/sleep';
import { metrics } from './events.ts';
import { publish, putBeginning, putForgotten } from './pages.ts';
import { Permits } from './permits.ts';
import { type RebuildContext, rebuild } from './rebuild.ts';

/** Those who connect for the first time have no history: together, they share a wait for messaging, and round trips. */
const PARALLEL_REBUILDS = 128;
/** A history is held in memory while it is put into an inbox. */
const PARALLEL_HISTORIES = 16;
const RETRY_MS = 500;
const ATTEMPTS = 20;

/**
 * Rebuilds inboxes beside the event loop of the log, a bounded number at a time, each user once however often asked. One that fails
 * for good is asked for again: by the gateway that waits for it, or by the due queue.
 */
export class Rebuilds {
  readonly #context: RebuildContext;
  readonly #producer: BatchingProducer;
  readonly #logger: Logger;
  readonly #users = new Map<string, Promise<void>>();
  readonly #permits = new Permits(PARALLEL_REBUILDS);
  readonly #stopping = new AbortController();

  constructor(context: Omit<RebuildContext, 'reading'>, producer: BatchingProducer, logger: Logger) {
    this.#context = { ...context, reading: new Permits(PARALLEL_HISTORIES) };
    this.#producer = producer;
    this.#logger = logger;
  }

  /** @returns once the inbox is whole and its sessions are told, or the rebuild was given up */
  rebuilt(user: string): Promise<void> {
    const running = this.#users.get(user);
    if (running) return running;
    const run = this.#permits.with(() => this.#run(user)).finally(() => this.#users.delete(user));
    this.#users.set(user, run);
    return run;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#users.values());
  }

  async #run(user: string): Promise<void> {
    const end = metrics.rebuildSeconds.startTimer();
    try {
      for (let attempt = 0; attempt < ATTEMPTS && !this.#stopping.signal.aborted; attempt++) {
        if (await this.#attempt(user)) break;
        await sleep(RETRY_MS, this.#stopping.signal);
      }
    } finally {
      end();
    }
  }

  async #attempt(user: string): Promise<boolean> {
    try {
      const connections = await rebuild(user, this.#context, this.#stopping.signal);
      metrics.rebuilds.inc({ outcome: connections ? 'rebuilt' : 'was whole' });
      if (connections) await this.#begin(user, connections);
      return true;
    } catch (error) {
      metrics.rebuilds.inc({ outcome: 'failed' });
      this.#logger.warn({ user, err: messageOf(error) }, 'rebuild failed');
      return false;
    }
  }

  /** Every session goes to the new generation, and gets its first page. */
  async #begin(user: string, connections: readonly string[]): Promise<void> {
    const { inbox } = this.#context;
    const replies = await inbox.run(connections.map((conn) => inbox.replayCall(user, conn, true)));
    const outgoing = new OutgoingBatch();
    replies.map(parseReplay).forEach((reply, i) => {
      if (reply.is === 'page') putBeginning(outgoing, reply);
      else if (reply.is === 'no-device') putForgotten(outgoing, reply.slot, connections[i]!);
    });
    publish(outgoing, this.#producer, this.#logger);
  }
}
