import type { Message } from 'kafkajs';
import type { Logger } from 'pino';
import { backoffMs, sleep } from '../runtime/sleep.ts';
import { KafkaOutcomeUnknownError, KafkaRecordError, KafkaUnavailableError, kafkaErrorType } from './errors.ts';
import type { KafkaEvents } from './events.ts';

export type PendingRecord = {
  message: Message;
  bytes: number;
  resolve: () => void;
  reject: (error: Error) => void;
  settled: boolean;
};

const FIRST_RETRY_MS = 50;
const MOST_RETRY_MS = 2000;
/** How often a batch that fails and fails is logged: the first time, then each so many attempts. */
const LOG_EACH_ATTEMPTS = 20;

/** The broker has looked at the records and refused them: nothing was written, and nothing will be however often they are sent. */
const PERMANENT = new Map<string, 'too_large' | 'invalid'>([
  ['MESSAGE_TOO_LARGE', 'too_large'],
  ['RECORD_LIST_TOO_LARGE', 'too_large'],
  ['INVALID_RECORD', 'invalid'],
  ['INVALID_TIMESTAMP', 'invalid'],
]);

/** What the lanes of a producer share. */
export type LaneContext = {
  /** One attempt. Resolves when all in-sync replicas have the batch. */
  send: (topic: string, partition: number, messages: Message[], attempt: number) => Promise<void>;
  /** The bytes of a record that was settled are free again. */
  release: (bytes: number) => void;
  /** A lane's batch has failed and is retried, or got through after all. */
  setFailing: (lane: ProduceLane, failing: boolean) => void;
  /** A lane has handed a batch to Kafka, or knows the outcome of all that it had handed over. */
  setFlying: (lane: ProduceLane, flying: boolean) => void;
  maxBatchBytes: number;
  maxBatchRecords: number;
  rejectQueuedWhenUnhealthy: boolean;
  retryAfterMs: number;
  stopped: AbortSignal;
  events: KafkaEvents;
  logger: Logger;
};

/**
 * The records of one partition, on their way. One batch flies at a time, so that retrying it in place keeps the order;
 * what comes meanwhile gathers and is the next batch. A batch whose outcome is unknown is sent again until it is known.
 */
export class ProduceLane {
  readonly topic: string;
  readonly partition: number;
  #context: LaneContext;
  #queue: PendingRecord[] = [];
  #flying: PendingRecord[] = [];
  #running = false;
  #failing = false;

  constructor(topic: string, partition: number, context: LaneContext) {
    this.topic = topic;
    this.partition = partition;
    this.#context = context;
  }

  get failing(): boolean {
    return this.#failing;
  }

  push(record: PendingRecord): void {
    this.#queue.push(record);
    if (this.#running) return;
    this.#running = true;
    // Not at once: what is sent in the same tick shares the batch.
    queueMicrotask(() => void this.#run());
  }

  /** After the stop: whoever still waits is told what is known. */
  abandon(): void {
    const message = `the producer of ${this.topic} was stopped`;
    for (const record of this.#flying)
      this.#settle(record, new KafkaOutcomeUnknownError(`${message} while Kafka owed an answer`));
    this.#refuseQueued(new KafkaUnavailableError('stopped', this.#context.retryAfterMs, message));
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0 && !this.#context.stopped.aborted) {
      this.#flying = this.#take();
      this.#context.setFlying(this, true);
      await this.#deliver(this.#flying);
      this.#context.setFlying(this, false);
    }
    this.#flying = [];
    this.#running = false;
  }

  /** The next batch: at least one record, whatever its size. */
  #take(): PendingRecord[] {
    const { maxBatchBytes, maxBatchRecords } = this.#context;
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < maxBatchRecords) {
      bytes += this.#queue[count]!.bytes;
      if (count > 0 && bytes > maxBatchBytes) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** Returns when every record of the batch was settled, or at the stop. */
  async #deliver(batch: PendingRecord[]): Promise<void> {
    const { send, stopped } = this.#context;
    const messages = batch.map((record) => record.message);
    const startedAt = performance.now();
    for (let attempt = 1; !stopped.aborted; attempt++) {
      try {
        await send(this.topic, this.partition, messages, attempt);
        this.#delivered(batch, performance.now() - startedAt);
        return;
      } catch (error) {
        const permanent = PERMANENT.get(kafkaErrorType(error));
        if (permanent !== undefined) return this.#refusedByBroker(batch, permanent, error);
        this.#failed(attempt, batch.length, error);
        await sleep(backoffMs(attempt - 1, FIRST_RETRY_MS, MOST_RETRY_MS), stopped);
      }
    }
  }

  #delivered(batch: PendingRecord[], ms: number): void {
    let bytes = 0;
    for (const record of batch) {
      bytes += record.bytes;
      this.#settle(record);
    }
    this.#context.events.produced?.(this.topic, this.partition, batch.length, bytes, ms);
    this.#setFailing(false);
  }

  /** The broker refuses a batch as a whole, although perhaps one record of it is bad: halves tell which. */
  async #refusedByBroker(batch: PendingRecord[], code: 'too_large' | 'invalid', cause: unknown): Promise<void> {
    if (batch.length === 1) {
      const message = `Kafka refuses a record of ${batch[0]!.bytes} bytes for ${this.topic}: ${kafkaErrorType(cause)}`;
      this.#context.events.produceRefused?.(this.topic, this.partition, code, 1);
      this.#settle(batch[0]!, new KafkaRecordError(code, message, cause));
      this.#setFailing(false);
      return;
    }
    const middle = batch.length >> 1;
    await this.#deliver(batch.slice(0, middle));
    await this.#deliver(batch.slice(middle));
  }

  #failed(attempt: number, records: number, error: unknown): void {
    const { events, logger, rejectQueuedWhenUnhealthy, retryAfterMs } = this.#context;
    const type = kafkaErrorType(error);
    events.produceRetried?.(this.topic, this.partition, type, attempt);
    if (attempt % LOG_EACH_ATTEMPTS === 1) {
      const { topic, partition } = this;
      logger.warn(
        { topic, partition, records, attempt, errorType: type, err: error },
        'kafka: batch not acknowledged, retrying in place',
      );
    }
    this.#setFailing(true);
    if (!rejectQueuedWhenUnhealthy) return;
    this.#refuseQueued(
      new KafkaUnavailableError('unavailable', retryAfterMs, `Kafka does not take records for ${this.topic} now`),
    );
  }

  #refuseQueued(error: KafkaUnavailableError): void {
    const queued = this.#queue;
    if (queued.length === 0) return;
    this.#queue = [];
    this.#context.events.produceRefused?.(this.topic, this.partition, error.code, queued.length);
    for (const record of queued) this.#settle(record, error);
  }

  #setFailing(failing: boolean): void {
    if (failing === this.#failing) return;
    this.#failing = failing;
    this.#context.setFailing(this, failing);
    if (!failing)
      this.#context.logger.info(
        { topic: this.topic, partition: this.partition },
        'kafka: batches are acknowledged again',
      );
  }

  #settle(record: PendingRecord, error?: Error): void {
    if (record.settled) return;
    record.settled = true;
    this.#context.release(record.bytes);
    if (error === undefined) record.resolve();
    else record.reject(error);
  }
}
