import type { Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import { backoffMs, sleep } from '../runtime/sleep.ts';
import { AdminHolder } from './admin-holder.ts';
import { ConsumerSession } from './consumer-session.ts';
import type { KafkaEvents } from './events.ts';
import { Generation } from './generation.ts';
import type { BatchHandler } from './log-record.ts';
import { settledWithin } from './settled-within.ts';
import { checkSameLog, findStart } from './start-offsets.ts';
import { logEnds } from './topics.ts';

const FIRST_RETRY_MS = 200;
const MOST_RETRY_MS = 2000;
/** A session that lived so long was a good one: the next failure is a first one again. */
const GOOD_SESSION_MS = 60_000;
const WATCHDOG_EACH_MS = 3000;
/** Checks in a row, not time: a process that was paused must not take its own pause for a stuck consumer. */
const CHECKS_UNTIL_STUCK = 4;
const CHECKS_UNTIL_LIFELESS = 12;
const DRAIN_TIMEOUT_MS = 10_000;

export type LogConsumerOptions = {
  kafka: Kafka;
  groupId: string;
  topic: string;
  handle: BatchHandler;
  /**
   * At each group join, before any record of it is handled; retried until it resolves. Calls never overlap. `signal`
   * aborts when the next join has made this one void.
   */
  onAssigned?: (partitions: number[], signal: AbortSignal) => Promise<void> | void;
  /** The log was replaced by another one: this consumer has stopped for good, and the process should. */
  onFatal?: (error: Error) => void;
  maxBatchRecords?: number;
  maxBatchBytes?: number;
  /** Per partition: bytes that were fetched and are not durable. */
  maxUnfinishedBytes?: number;
  commitIntervalMs?: number;
  watchdogEachMs?: number;
  logger: Logger;
  events?: KafkaEvents;
};

/** The log ends below what this group has consumed of it: it is not the log that it was (DESIGN.md, decision 1). */
export class LogReplacedError extends Error {
  override name = 'LogReplacedError';
}

/** Starts to consume a topic. Resolves at once: where Kafka is away, it is tried again for ever; `whenReady` tells. */
export async function startLogConsumer(options: LogConsumerOptions): Promise<LogConsumer> {
  return new LogConsumer(options);
}

/**
 * A member of a durable consumer group. Each partition is handled strictly in order, by one worker at a time; what is
 * committed is always a finished prefix; whatever happens to Kafka, it goes on by itself from there.
 */
export class LogConsumer {
  #options: LogConsumerOptions;
  #admin: AdminHolder;
  #events: KafkaEvents;
  #session: ConsumerSession | undefined;
  #generation: Generation | undefined;
  #generationAbort = new AbortController();
  /** By partition: handlers of former generations that may still run. */
  #running = new Map<number, Promise<void>>();
  /** By partition: the last commit that was seen of it. */
  #known = new Map<number, number>();
  #assigning: Promise<unknown> = Promise.resolve();
  #prepared = false;
  #stopping = new AbortController();
  #fatal: Error | undefined;
  #readyWaiters: (() => void)[] = [];
  #watchdog: NodeJS.Timeout;
  #looking = false;
  #lifelessChecks = 0;
  #beats = -1;
  #behind = new Map<number, { position: number; checks: number }>();
  #loop: Promise<void>;

  constructor(options: LogConsumerOptions) {
    this.#options = options;
    this.#events = options.events ?? {};
    this.#admin = new AdminHolder(options.kafka);
    this.#watchdog = setInterval(() => this.#check(), options.watchdogEachMs ?? WATCHDOG_EACH_MS).unref();
    this.#loop = this.#keepRunning();
  }

  /** It is a member of the group and prepared for what it was assigned, which may be nothing. */
  ready(): boolean {
    return this.#prepared && this.#fatal === undefined && !this.#stopping.signal.aborted;
  }

  /** It is ready, and no batch is failing over and over. */
  healthy(): boolean {
    return this.ready() && (this.#generation?.retrying().length ?? 0) === 0;
  }

  /** Resolves when it is ready for the first time. */
  async whenReady(): Promise<void> {
    if (!this.ready()) await new Promise<void>((resolve) => this.#readyWaiters.push(resolve));
  }

  /** Records of each assigned partition that are not yet durable: exact to the last fetch, or the watchdog's last look. */
  lag(): Map<number, number> {
    return this.#generation?.lag() ?? new Map();
  }

  /** Ends fetching, lets running batches become durable for as long as `timeoutMs`, commits them, and leaves the group. */
  async stop(timeoutMs = DRAIN_TIMEOUT_MS): Promise<void> {
    if (this.#stopping.signal.aborted) return this.#loop;
    this.#stopping.abort();
    clearInterval(this.#watchdog);
    if (this.#generation !== undefined) await settledWithin(this.#generation.drain(), timeoutMs);
    await this.#session?.close();
    await this.#loop;
    await settledWithin(Promise.all(this.#running.values()), timeoutMs);
    await this.#admin.close();
  }

  async #keepRunning(): Promise<void> {
    const { signal } = this.#stopping;
    for (let attempt = 1; !signal.aborted && this.#fatal === undefined; attempt++) {
      const openedAt = performance.now();
      const reason = await this.#runSession();
      if (signal.aborted || this.#fatal !== undefined) break;
      if (performance.now() - openedAt > GOOD_SESSION_MS) attempt = 1;
      const { topic, groupId, logger } = this.#options;
      this.#events.restarted?.(topic, reason);
      logger.warn({ topic, groupId, reason, attempt }, 'kafka: consumer ended, making another');
      await sleep(backoffMs(attempt - 1, FIRST_RETRY_MS, MOST_RETRY_MS), signal);
    }
  }

  /** @returns why the session ended. */
  async #runSession(): Promise<string> {
    const { kafka, groupId, topic, logger } = this.#options;
    const session = new ConsumerSession({
      kafka,
      groupId,
      topic,
      fromBeginning: true,
      logger,
      onJoined: (partitions, joined) => this.#joined(partitions, joined),
      onRebalancing: () => this.#generation?.freeze(),
      onBatch: async (payload) => this.#generation?.take(payload),
    });
    this.#session = session;
    this.#lifelessChecks = 0;
    let reason: string;
    try {
      const { signal } = this.#stopping;
      const onLogReplaced = this.#logReplaced.bind(this);
      await checkSameLog({ admin: this.#admin, groupId, topic, known: this.#known, signal, onLogReplaced });
      if (this.#fatal === undefined) await session.open();
      reason = await session.ended;
    } catch (error) {
      reason = `not connected: ${error instanceof Error ? error.message : String(error)}`;
    }
    this.#endGeneration();
    await session.close();
    this.#session = undefined;
    return reason;
  }

  /** Synchronous, in kafkajs's event: the former generation is over before a batch of the new one can come. */
  #joined(partitions: number[], session: ConsumerSession): void {
    this.#endGeneration();
    if (this.#stopping.signal.aborted || this.#fatal !== undefined) return;
    const { topic, groupId, handle, logger } = this.#options;
    const { signal } = this.#generationAbort;
    logger.info({ topic, groupId, partitions }, 'kafka: joined the group');
    this.#events.assigned?.(topic, partitions);
    const prepared = this.#assigning.then(() => this.#prepare(partitions, signal));
    this.#assigning = prepared;
    const onLogReplaced = this.#logReplaced.bind(this);
    this.#generation = new Generation({
      topic,
      partitions,
      session,
      startOffsets: findStart({
        ...this.#options,
        admin: this.#admin,
        known: this.#known,
        events: this.#events,
        partitions,
        signal,
        seek: (partition, offset) => session.seek(partition, offset),
        onLogReplaced,
      }),
      prepared,
      running: this.#running,
      handle,
      maxBatchRecords: this.#options.maxBatchRecords ?? 500,
      maxBatchBytes: this.#options.maxBatchBytes ?? 1024 * 1024,
      maxUnfinishedBytes: this.#options.maxUnfinishedBytes ?? 8 * 1024 * 1024,
      commitIntervalMs: this.#options.commitIntervalMs ?? 100,
      onLogReplaced,
      logger,
      events: this.#events,
    });
  }

  #endGeneration(): void {
    this.#generationAbort.abort();
    this.#generationAbort = new AbortController();
    this.#prepared = false;
    this.#behind.clear();
    for (const [partition, done] of this.#generation?.discard() ?? []) this.#running.set(partition, done);
    this.#generation = undefined;
  }

  /** Runs `onAssigned` until it resolves or the assignment is void. Never rejects. */
  async #prepare(partitions: number[], signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await this.#options.onAssigned?.(partitions, signal);
        if (signal.aborted) return;
        this.#prepared = true;
        for (const resolve of this.#readyWaiters.splice(0)) resolve();
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#options.logger.warn(
          { topic: this.#options.topic, partitions, attempt, err: error },
          'kafka: not prepared for the assignment, trying again',
        );
        await sleep(backoffMs(attempt - 1, FIRST_RETRY_MS, MOST_RETRY_MS), signal);
      }
    }
  }

  #logReplaced(partition: number, position: number, end: number): void {
    if (this.#fatal !== undefined) return;
    const { topic, groupId, logger, onFatal } = this.#options;
    this.#fatal = new LogReplacedError(
      `partition ${partition} of ${topic} ends at ${end}, but ${groupId} has consumed it up to ${position}: it is another log`,
    );
    this.#events.logReplaced?.(topic, partition, position, end);
    logger.fatal({ topic, groupId, partition, position, end }, this.#fatal.message);
    this.#endGeneration();
    void this.#session?.close();
    onFatal?.(this.#fatal);
  }

  /**
   * kafkajs consumers have stopped fetching for ever without a word (#659, #1720). So: no answered fetch and no join for
   * half a minute, or records in the log that are neither fetched nor held back by us, ends the session.
   */
  #check(): void {
    const session = this.#session;
    if (session === undefined || session.closing) return;
    // By itself: the look at the log waits for Kafka, on another connection that may be as stuck.
    this.#lifelessChecks = session.beats === this.#beats ? this.#lifelessChecks + 1 : 0;
    this.#beats = session.beats;
    if (this.#lifelessChecks >= CHECKS_UNTIL_LIFELESS) this.#restart(session, 'no fetch was answered for long');
    else if (!this.#looking) void this.#look(session);
  }

  async #look(session: ConsumerSession): Promise<void> {
    const generation = this.#generation;
    if (generation === undefined) return;
    // Looks that wait for Kafka longer than the time between two checks must not count in parallel.
    this.#looking = true;
    const ends = await this.#admin.use((admin) => logEnds(admin, this.#options.topic)).catch(() => undefined);
    this.#looking = false;
    if (ends === undefined || generation !== this.#generation || session.closing) return;
    const behind = generation.behind(ends);
    for (const partition of this.#behind.keys()) if (!behind.has(partition)) this.#behind.delete(partition);
    for (const [partition, position] of behind) {
      const before = this.#behind.get(partition);
      const checks = before?.position === position ? before.checks + 1 : 1;
      this.#behind.set(partition, { position, checks });
      if (checks >= CHECKS_UNTIL_STUCK)
        return this.#restart(session, `partition ${partition} stands at ${position} of ${ends.get(partition)}`);
    }
  }

  #restart(session: ConsumerSession, why: string): void {
    this.#lifelessChecks = 0;
    this.#options.logger.error({ topic: this.#options.topic, why }, 'kafka: the consumer is stuck');
    void session.close(`stuck: ${why}`);
  }
}
