import type { Kafka, Message } from 'kafkajs';
import type { Logger } from 'pino';
import { MAX_RECORD_BYTES } from '../contract/events.ts';
import { backoffMs, sleep } from '../runtime/sleep.ts';
import { KafkaRecordError, KafkaUnavailableError, kafkaErrorType } from './errors.ts';
import type { KafkaEvents } from './events.ts';
import { partitionOfKey } from './murmur2.ts';
import { type LaneContext, ProduceLane } from './produce-lane.ts';
import { ProducerClient } from './producer-client.ts';
import { settledWithin } from './settled-within.ts';
import { withAdmin } from './topics.ts';

const MAX_BATCH_BYTES = 512 * 1024;
/** kafkajs copies a growing array for each record of a batch: beyond some hundreds that costs more than another request. */
const MAX_BATCH_RECORDS = 500;
const MAX_HELD_BYTES = 32 * 1024 * 1024;
/** What a record weighs beside its key and value: headers of the batch, the objects that hold it here. */
const RECORD_OVERHEAD_BYTES = 64;
/** A batch that has had no answer for so long will probably fail, long before it does. */
const SLOW_MS = 2000;
const ACCEPTING_UP_TO = 7 / 8;
const RETRY_AFTER_MS = 1000;
const STOP_TIMEOUT_MS = 10_000;
const CHECK_PARTITIONS_EACH_MS = 300_000;

export type BatchingProducerOptions = {
  kafka: Kafka;
  logger: Logger;
  /** Topics whose partition counts `partitionFor` needs. */
  topics: readonly string[];
  /**
   * For those who would rather say "not now" than wait: while a batch is retried, what is queued behind it, never handed
   * to Kafka, is rejected. Workers leave it off: they wait.
   */
  rejectQueuedWhenUnhealthy?: boolean;
  maxHeldBytes?: number;
  maxBatchBytes?: number;
  maxBatchRecords?: number;
  maxRecordBytes?: number;
  events?: KafkaEvents;
};

export type Accepting = { ok: true } | { ok: false; retryAfterMs: number };

/**
 * Writes records with acks=all, in the order of `send` per partition, in small batches. Not idempotent in Kafka's sense
 * (DESIGN.md, "Kafka through kafkajs"): a record whose answer was lost may be in the log twice, but never not at all.
 */
export class BatchingProducer {
  #options: BatchingProducerOptions;
  #lanes = new Map<string, ProduceLane[]>();
  #partitions = new Map<string, number>();
  #heldBytes = 0;
  #failing = new Set<ProduceLane>();
  /** Since when the batch of a lane has been on its way, oldest first. */
  #flyingSince = new Map<ProduceLane, number>();
  #client: ProducerClient;
  #starting: Promise<void> | undefined;
  #started = false;
  #stopping = false;
  #stopped = new AbortController();
  #whenEmpty: (() => void) | undefined;
  #checkTimer: NodeJS.Timeout | undefined;
  #context: LaneContext;

  constructor(options: BatchingProducerOptions) {
    this.#options = options;
    const client = new ProducerClient(options.kafka);
    this.#client = client;
    this.#context = {
      send: (topic, partition, messages, attempt) => client.send(topic, partition, messages, attempt),
      release: (bytes) => this.#release(bytes),
      setFailing: (lane, failing) => void (failing ? this.#failing.add(lane) : this.#failing.delete(lane)),
      setFlying: (lane, flying) =>
        void (flying ? this.#flyingSince.set(lane, performance.now()) : this.#flyingSince.delete(lane)),
      maxBatchBytes: options.maxBatchBytes ?? MAX_BATCH_BYTES,
      maxBatchRecords: options.maxBatchRecords ?? MAX_BATCH_RECORDS,
      rejectQueuedWhenUnhealthy: options.rejectQueuedWhenUnhealthy ?? false,
      retryAfterMs: RETRY_AFTER_MS,
      stopped: this.#stopped.signal,
      events: options.events ?? {},
      logger: options.logger,
    };
  }

  /** Resolves once connected and the partition counts are known, however long Kafka is away. Rejects only if stopped first. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    for (let attempt = 1; !this.#stopping; attempt++) {
      try {
        await this.#client.connect();
        for (const [topic, count] of await this.#readPartitionCounts()) this.#partitions.set(topic, count);
        this.#started = true;
        this.#checkTimer = setInterval(() => void this.#checkPartitionCounts(), CHECK_PARTITIONS_EACH_MS).unref();
        return;
      } catch (error) {
        this.#options.logger.warn(
          { errorType: kafkaErrorType(error), attempt },
          'kafka: producer not connected yet, trying again',
        );
        await sleep(backoffMs(attempt - 1, 100, 2000), this.#stopped.signal);
      }
    }
    throw new KafkaUnavailableError('stopped', RETRY_AFTER_MS, 'the producer was stopped before it had connected');
  }

  /**
   * Resolves when all in-sync replicas have the record.
   * @throws KafkaUnavailableError (known not written: full, stopped, or, where asked for, Kafka is away),
   *   KafkaRecordError (this record will never be taken), KafkaOutcomeUnknownError (stopped while the answer was due).
   */
  send(
    topic: string,
    partition: number,
    key: string | null,
    value: string | Buffer,
    headers?: Record<string, string>,
  ): Promise<void> {
    const bytes = Buffer.byteLength(value) + (key === null ? 0 : key.length) + RECORD_OVERHEAD_BYTES;
    const refusal = this.#refusal(topic, partition, bytes);
    if (refusal !== undefined) return Promise.reject(refusal);
    const message: Message = headers === undefined ? { key, value, partition } : { key, value, partition, headers };
    return new Promise((resolve, reject) => {
      this.#heldBytes += bytes;
      this.#lane(topic, partition).push({ message, bytes, resolve, reject, settled: false });
    });
  }

  /** Whether a record sent now would be handed to Kafka soon, for those who must answer their own callers at once. */
  accepting(): Accepting {
    // Below the bound itself: who asks sends a moment later, when others have sent too.
    const full = this.#heldBytes >= (this.#options.maxHeldBytes ?? MAX_HELD_BYTES) * ACCEPTING_UP_TO;
    const [oldest = Number.POSITIVE_INFINITY] = this.#flyingSince.values();
    const slow = performance.now() - oldest > SLOW_MS;
    if (this.#started && !this.#stopping && this.#failing.size === 0 && !full && !slow) return { ok: true };
    return { ok: false, retryAfterMs: RETRY_AFTER_MS };
  }

  /** Bytes that wait for an acknowledgement, for a metric. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * The partition of a key, as Kafka's own clients choose it.
   * @throws KafkaUnavailableError before the start has read how many partitions there are; TypeError for a topic not named in `topics`.
   */
  partitionFor(topic: string, key: string): number {
    return partitionOfKey(key, this.partitionCount(topic));
  }

  /** How many partitions a topic has. @throws as partitionFor */
  partitionCount(topic: string): number {
    const count = this.#partitions.get(topic);
    if (count !== undefined) return count;
    if (!this.#options.topics.includes(topic)) throw new TypeError(`the producer was not told of topic ${topic}`);
    throw new KafkaUnavailableError('unavailable', RETRY_AFTER_MS, `the partitions of ${topic} are not known yet`);
  }

  /** Sends what it holds, for as long as `timeoutMs`, and disconnects. What then still waits is rejected. */
  async stop(timeoutMs = STOP_TIMEOUT_MS): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearInterval(this.#checkTimer);
    if (this.#heldBytes > 0)
      await settledWithin(new Promise<void>((resolve) => (this.#whenEmpty = resolve)), timeoutMs);
    this.#stopped.abort();
    for (const lanes of this.#lanes.values()) for (const lane of lanes) lane?.abandon();
    await this.#client.close();
  }

  #refusal(topic: string, partition: number, bytes: number): Error | undefined {
    const refuse = (code: 'overloaded' | 'unavailable' | 'stopped', why: string) => {
      this.#context.events.produceRefused?.(topic, partition, code, 1);
      return new KafkaUnavailableError(code, RETRY_AFTER_MS, why);
    };
    const maxRecord = (this.#options.maxRecordBytes ?? MAX_RECORD_BYTES) + RECORD_OVERHEAD_BYTES;
    if (bytes > maxRecord)
      return new KafkaRecordError('too_large', `a record of ${bytes} bytes for ${topic}, the limit is ${maxRecord}`);
    if (this.#stopping) return refuse('stopped', 'the producer is stopped');
    if (this.#heldBytes + bytes > (this.#options.maxHeldBytes ?? MAX_HELD_BYTES)) {
      return refuse('overloaded', `${this.#heldBytes} bytes already wait for Kafka`);
    }
    if (!this.#context.rejectQueuedWhenUnhealthy) return undefined;
    if (!this.#started) return refuse('unavailable', 'the producer has not connected yet');
    if (this.#lane(topic, partition).failing)
      return refuse('unavailable', `Kafka does not take records for ${topic} now`);
    return undefined;
  }

  #lane(topic: string, partition: number): ProduceLane {
    let lanes = this.#lanes.get(topic);
    if (lanes === undefined) {
      lanes = [];
      this.#lanes.set(topic, lanes);
    }
    lanes[partition] ??= new ProduceLane(topic, partition, this.#context);
    return lanes[partition];
  }

  #release(bytes: number): void {
    this.#heldBytes -= bytes;
    if (this.#heldBytes === 0) this.#whenEmpty?.();
  }

  async #readPartitionCounts(): Promise<[string, number][]> {
    if (this.#options.topics.length === 0) return [];
    const { topics } = await withAdmin(this.#options.kafka, (admin) =>
      admin.fetchTopicMetadata({ topics: [...this.#options.topics] }),
    );
    return topics.map((topic) => [topic.name, topic.partitions.length]);
  }

  /**
   * A topic that grew while we run keeps its old count here: keys that moved to other partitions would leave the order of
   * their conversation. Somebody should know, though; a restart refuses it by name.
   */
  async #checkPartitionCounts(): Promise<void> {
    try {
      for (const [topic, count] of await this.#readPartitionCounts()) {
        const known = this.#partitions.get(topic);
        if (known !== count)
          this.#options.logger.error(
            { topic, known, count },
            'kafka: the topic was re-partitioned under us; keys stay where they were',
          );
      }
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'kafka: partition counts not checked');
    }
  }
}
