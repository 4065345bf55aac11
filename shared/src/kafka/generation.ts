import type { EachBatchPayload } from 'kafkajs';
import type { Logger } from 'pino';
import { type ConsumerSession, waitHeartbeating } from './consumer-session.ts';
import { kafkaErrorType } from './errors.ts';
import type { KafkaEvents } from './events.ts';
import { type BatchHandler, logRecord } from './log-record.ts';
import { PartitionWorker } from './partition-worker.ts';
import { settledWithin } from './settled-within.ts';

/** How long a full partition holds up the fetch of all before it is paused alone: often it has room by then. */
const ROOM_WAIT_MS = 100;
/** After so many seeks to where we were, kafkajs still begins elsewhere: the records between are no longer there. */
const SEEKS_BEFORE_JUMP = 3;
const COMMIT_RETRY_MS = 1000;

/** kafkajs's types leave out where a batch was fetched from; it is what tells a stale batch from the next one. */
type FetchedBatch = EachBatchPayload['batch'] & { fetchedOffset: string };

type Slot = {
  worker: PartitionWorker;
  /** The next offset to take from Kafka; undefined until the committed one is known. */
  position: number | undefined;
  startedAt: number;
  committed: number;
  highWatermark: number;
  paused: boolean;
  /** How often in a row a batch came from elsewhere than `position`. */
  misplaced: number;
};

export type GenerationOptions = {
  topic: string;
  partitions: readonly number[];
  session: ConsumerSession;
  /** Where each partition begins: its committed offset, or the log's beginning. Looked up by us: see `take`. */
  startOffsets: Promise<ReadonlyMap<number, number>>;
  /** Settles when the owner is prepared for this assignment. */
  prepared: Promise<unknown>;
  /** By partition: handlers of former generations that still run. */
  running: ReadonlyMap<number, Promise<void>>;
  handle: BatchHandler;
  maxBatchRecords: number;
  maxBatchBytes: number;
  maxUnfinishedBytes: number;
  commitIntervalMs: number;
  onLogReplaced: (partition: number, position: number, end: number) => void;
  logger: Logger;
  events: KafkaEvents;
};

/** One assignment of partitions, from a group join to the next: who handles them, how far they are, what is committed. */
export class Generation {
  #options: GenerationOptions;
  #slots = new Map<number, Slot>();
  #positioned: Promise<void>;
  #discarded = false;
  #frozen = false;
  #commit: EachBatchPayload['commitOffsetsIfNecessary'] | undefined;
  #commitTimer: NodeJS.Timeout | undefined;
  #committing: Promise<void> | undefined;

  constructor(options: GenerationOptions) {
    this.#options = options;
    const { topic, handle, maxBatchRecords, maxBatchBytes, logger, events } = options;
    for (const partition of options.partitions) {
      const mayBegin = Promise.allSettled([options.prepared, options.running.get(partition)]);
      const onCommittable = () => this.#commitWithin(options.commitIntervalMs);
      const worker = new PartitionWorker({
        topic,
        partition,
        mayBegin,
        handle,
        maxBatchRecords,
        maxBatchBytes,
        onCommittable,
        logger,
        events,
      });
      this.#slots.set(partition, {
        worker,
        position: undefined,
        startedAt: 0,
        committed: 0,
        highWatermark: 0,
        paused: false,
        misplaced: 0,
      });
    }
    this.#positioned = options.startOffsets.then((offsets) => this.#setStart(offsets));
    this.#positioned.catch(() => undefined);
  }

  /**
   * Takes a batch from kafkajs: into the worker's queue, so that the next fetch goes out at once.
   *
   * A batch is taken only if it begins where the last one ended. kafkajs alone does not see to that: a fetch of an older
   * generation, answered after the join (two brokers, stale metadata), moves the position of the new one past records that
   * nobody has handled. Any other batch is dropped, and the partition sought to where it should be.
   */
  async take(payload: EachBatchPayload): Promise<void> {
    const slot = this.#slots.get(payload.batch.partition);
    if (slot === undefined) return;
    if (slot.position === undefined) await waitHeartbeating(this.#positioned, payload.heartbeat);
    if (slot.position === undefined || this.#discarded || this.#frozen || payload.isStale()) return;
    const batch = payload.batch as FetchedBatch;
    const fetchedOffset = Number(batch.fetchedOffset);
    if (fetchedOffset !== slot.position && !this.#mayJump(slot, fetchedOffset)) return;
    slot.misplaced = 0;
    const lastOffset = batch.lastOffset();
    slot.position = Number(lastOffset) + 1;
    slot.highWatermark = Number(batch.highWatermark);
    this.#commit = payload.commitOffsetsIfNecessary;
    slot.worker.push(batch.messages.map(logRecord));
    payload.resolveOffset(lastOffset);
    const { maxUnfinishedBytes } = this.#options;
    if (slot.worker.unfinishedBytes <= maxUnfinishedBytes) return;
    this.#options.events.throttled?.(batch.topic, batch.partition);
    if (!(await settledWithin(slot.worker.room(maxUnfinishedBytes), ROOM_WAIT_MS))) this.#pause(slot);
  }

  /** Starts no further batch, and commits what is done while a commit still counts. */
  freeze(): void {
    this.#frozen = true;
    for (const { worker } of this.#slots.values()) worker.freeze();
    this.#commitWithin(0);
  }

  /** Freezes for good: fetches nothing more. @returns when what was handled is durable and committed. */
  async drain(): Promise<void> {
    this.freeze();
    // Not fetched rather than not taken: a batch that is given back is fetched again at once.
    for (const partition of this.#slots.keys()) this.#options.session.pause(partition);
    await Promise.all([...this.#slots.values()].map(({ worker }) => worker.drained()));
    await this.#committing;
    await this.#commitNow();
  }

  /** Gives all partitions up; nothing of this generation is committed any more. @returns by partition, when its handler is done. */
  discard(): Map<number, Promise<void>> {
    this.#discarded = true;
    clearTimeout(this.#commitTimer);
    const running = new Map<number, Promise<void>>();
    for (const [partition, slot] of this.#slots) {
      running.set(partition, slot.worker.discard());
      if (slot.paused) this.#resume(slot);
    }
    return running;
  }

  /** Records of each partition that are not yet durable, as far as is known. */
  lag(): Map<number, number> {
    const lags = new Map<number, number>();
    for (const [partition, slot] of this.#slots) {
      if (slot.position === undefined) continue;
      const done = slot.worker.idle ? slot.position : (slot.worker.committable() ?? slot.startedAt);
      lags.set(partition, Math.max(0, slot.highWatermark - done));
    }
    return lags;
  }

  /** Partitions of which a batch has failed and is not through. */
  retrying(): number[] {
    return [...this.#slots.values()].filter(({ worker }) => worker.retrying).map(({ worker }) => worker.partition);
  }

  /** Learns where the log ends. @returns partitions that have records which are neither here nor held back by us, with their position. */
  behind(ends: ReadonlyMap<number, number>): Map<number, number> {
    const behind = new Map<number, number>();
    for (const [partition, slot] of this.#slots) {
      slot.highWatermark = Math.max(slot.highWatermark, ends.get(partition) ?? 0);
      if (slot.position === undefined || slot.paused || !slot.worker.idle || this.#frozen) continue;
      if (slot.position < slot.highWatermark) behind.set(partition, slot.position);
    }
    return behind;
  }

  #setStart(offsets: ReadonlyMap<number, number>): void {
    for (const [partition, slot] of this.#slots) {
      const offset = offsets.get(partition) ?? 0;
      slot.position = offset;
      slot.startedAt = offset;
      slot.committed = offset;
      slot.highWatermark = offset;
    }
  }

  /** A batch is not from where it should be. @returns whether it may be taken all the same, for what lies between is gone. */
  #mayJump(slot: Slot, fetchedOffset: number): boolean {
    const { topic, session, events, logger, onLogReplaced } = this.#options;
    const { partition } = slot.worker;
    const position = slot.position!;
    slot.misplaced++;
    if (slot.misplaced <= SEEKS_BEFORE_JUMP) {
      session.seek(partition, position);
      return false;
    }
    if (fetchedOffset < position) {
      onLogReplaced(partition, position, fetchedOffset);
      return false;
    }
    events.jumped?.(topic, partition, position, fetchedOffset);
    logger.error(
      { topic, partition, from: position, to: fetchedOffset },
      'kafka: the log no longer has these records, going on after them',
    );
    return true;
  }

  #pause(slot: Slot): void {
    if (this.#discarded || slot.paused) return;
    slot.paused = true;
    this.#options.session.pause(slot.worker.partition);
    void slot.worker.room(this.#options.maxUnfinishedBytes / 2).then(() => this.#resume(slot));
  }

  #resume(slot: Slot): void {
    if (!slot.paused) return;
    slot.paused = false;
    this.#options.session.resume(slot.worker.partition);
  }

  #commitWithin(ms: number): void {
    if (this.#discarded || this.#committing !== undefined) return;
    if (this.#commitTimer !== undefined && ms > 0) return;
    clearTimeout(this.#commitTimer);
    if (ms === 0) void this.#commitNow();
    else this.#commitTimer = setTimeout(() => void this.#commitNow(), ms);
  }

  /**
   * Commits what is finished, in one request. It begins in a task of its own or in an event of kafkajs, never in a
   * continuation: between kafkajs's new generation and its event that says so lie only microtasks, and a commit made
   * there would carry the new generation's name.
   */
  #commitNow(): Promise<void> {
    this.#commitTimer = undefined;
    if (this.#discarded || this.#commit === undefined) return Promise.resolve();
    const due = [...this.#slots.values()].flatMap((slot) => {
      const offset = slot.worker.committable() ?? 0;
      return offset > slot.committed ? [{ slot, offset }] : [];
    });
    if (due.length === 0) return Promise.resolve();
    const { topic } = this.#options;
    const partitions = due.map(({ slot, offset }) => ({ partition: slot.worker.partition, offset: String(offset) }));
    this.#committing = this.#commit({ topics: [{ topic, partitions }] }).then(
      () => this.#committed(due),
      (error: unknown) => this.#commitFailed(error),
    );
    return this.#committing;
  }

  #committed(done: { slot: Slot; offset: number }[]): void {
    this.#committing = undefined;
    const { topic, events, commitIntervalMs } = this.#options;
    for (const { slot, offset } of done) {
      slot.committed = offset;
      events.committed?.(topic, slot.worker.partition, offset);
    }
    const more = [...this.#slots.values()].some((slot) => (slot.worker.committable() ?? 0) > slot.committed);
    if (more) this.#commitWithin(this.#frozen ? 0 : commitIntervalMs);
  }

  #commitFailed(error: unknown): void {
    this.#committing = undefined;
    if (this.#discarded) return;
    const { topic, events, logger } = this.#options;
    events.commitFailed?.(topic, kafkaErrorType(error));
    logger.debug({ topic, err: error }, 'kafka: offsets not committed, trying again');
    this.#commitWithin(COMMIT_RETRY_MS);
  }
}
