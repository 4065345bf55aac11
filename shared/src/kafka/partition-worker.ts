import type { Logger } from 'pino';
import { backoffMs, sleep } from '../runtime/sleep.ts';
import { CommitTracker } from './commit-tracker.ts';
import type { KafkaEvents } from './events.ts';
import { type BatchHandler, type LogRecord, recordBytes } from './log-record.ts';

const FIRST_RETRY_MS = 100;
const MOST_RETRY_MS = 5000;

type Batch = { records: LogRecord[]; bytes: number; attempts: number };

export type WorkerOptions = {
  topic: string;
  partition: number;
  /** Settles when the worker may begin: its predecessor on this partition is done, and the assignment was prepared. */
  mayBegin: Promise<unknown>;
  handle: BatchHandler;
  maxBatchRecords: number;
  maxBatchBytes: number;
  /** Something became committable. */
  onCommittable: () => void;
  logger: Logger;
  events: KafkaEvents;
};

/**
 * One partition in one generation of the group. Records go through `handle` strictly one batch after another; how they
 * become durable overlaps. Nothing is skipped: what fails is handled again until it works or the partition is taken away.
 */
export class PartitionWorker {
  readonly partition: number;
  #options: WorkerOptions;
  #tracker = new CommitTracker();
  #queue: LogRecord[] = [];
  /** Batches that were handled but did not become durable: to be handled again, before what is new. */
  #again: Batch[] = [];
  #abort = new AbortController();
  #frozen = false;
  #busy = false;
  #retrying = 0;
  #unfinishedBytes = 0;
  #wake: (() => void) | undefined;
  #finished: Promise<void>;

  constructor(options: WorkerOptions) {
    this.partition = options.partition;
    this.#options = options;
    this.#finished = this.#run();
  }

  /** Bytes fetched and not yet durable. */
  get unfinishedBytes(): number {
    return this.#unfinishedBytes;
  }

  /** Whether it has anything to do or to wait for; a consumer that is behind while all are idle is stuck. */
  get idle(): boolean {
    return this.#unfinishedBytes === 0;
  }

  /** Whether a batch of it has failed and is not through yet. */
  get retrying(): boolean {
    return this.#retrying > 0;
  }

  committable(): number | undefined {
    return this.#tracker.committable();
  }

  push(records: LogRecord[]): void {
    for (const record of records) {
      this.#queue.push(record);
      this.#unfinishedBytes += recordBytes(record);
    }
    this.#wake?.();
  }

  /** Starts no further batch. What runs goes on, and may still be committed. */
  freeze(): void {
    this.#frozen = true;
    this.#wake?.();
  }

  /** Gives the partition up: what waits is dropped, what runs is told. @returns when no handler of it runs any more. */
  discard(): Promise<void> {
    this.#abort.abort();
    this.#queue = [];
    this.#wake?.();
    return this.#finished;
  }

  /** Resolves when it holds no more than `bytes` unfinished ones, or holds none because it was discarded. */
  async room(bytes: number): Promise<void> {
    while (this.#unfinishedBytes > bytes && !this.#abort.signal.aborted) await this.#woken();
  }

  /** Resolves when no handler runs and all that was handled is durable. Only after `freeze`. */
  async drained(): Promise<void> {
    while ((this.#busy || this.#tracker.pending > 0) && !this.#abort.signal.aborted) await this.#woken();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    await this.#options.mayBegin;
    while (!signal.aborted) {
      const batch = this.#frozen ? undefined : this.#next();
      if (batch === undefined) await this.#woken();
      else await this.#handle(batch, signal);
    }
  }

  /** What gathered while the last batch was handled, up to the bounds. */
  #next(): Batch | undefined {
    const again = this.#again.shift();
    if (again !== undefined) return again;
    if (this.#queue.length === 0) return undefined;
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < this.#options.maxBatchRecords) {
      const size = recordBytes(this.#queue[count]!);
      if (count > 0 && bytes + size > this.#options.maxBatchBytes) break;
      bytes += size;
      count++;
    }
    const records = count === this.#queue.length ? this.#queue : this.#queue.splice(0, count);
    if (records === this.#queue) this.#queue = [];
    // One offset stands for the batch: its records become durable together.
    this.#tracker.track(records[count - 1]!.offset);
    return { records, bytes, attempts: 0 };
  }

  async #handle(batch: Batch, signal: AbortSignal): Promise<void> {
    const { topic, partition, handle, events } = this.#options;
    this.#busy = true;
    while (!signal.aborted) {
      const startedAt = performance.now();
      try {
        const { durable } = await handle({ topic, partition, records: batch.records, signal });
        events.handled?.(topic, partition, batch.records.length, performance.now() - startedAt);
        void durable.then(
          () => this.#becameDurable(batch),
          (error: unknown) => this.#handleAgain(batch, error, signal),
        );
        break;
      } catch (error) {
        if (signal.aborted) break;
        await sleep(this.#failed(batch, error), signal);
      }
    }
    this.#busy = false;
    this.#wake?.();
  }

  #becameDurable(batch: Batch): void {
    if (this.#abort.signal.aborted) return;
    if (batch.attempts > 0) this.#retrying--;
    this.#unfinishedBytes -= batch.bytes;
    this.#tracker.done(batch.records.at(-1)!.offset);
    this.#options.onCommittable();
    this.#wake?.();
  }

  async #handleAgain(batch: Batch, error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await sleep(this.#failed(batch, error), signal);
    this.#again.push(batch);
    this.#wake?.();
  }

  /** @returns how long to wait before the batch is tried again. */
  #failed(batch: Batch, error: unknown): number {
    const { topic, partition, events, logger } = this.#options;
    if (batch.attempts === 0) this.#retrying++;
    batch.attempts++;
    const { attempts } = batch;
    events.handleRetried?.(topic, partition, attempts, error);
    const fields = {
      topic,
      partition,
      offset: batch.records[0]!.offset,
      records: batch.records.length,
      attempts,
      err: error,
    };
    logger.warn(fields, 'kafka: batch not handled, trying it again');
    return backoffMs(attempts - 1, FIRST_RETRY_MS, MOST_RETRY_MS);
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#wake;
      this.#wake = () => {
        this.#wake = undefined;
        before?.();
        resolve();
      };
    });
  }
}
