import type { Consumer, EachBatchPayload, Kafka, PartitionAssigner } from 'kafkajs';
import type { Logger } from 'pino';
import { KAFKAJS_RETRY, ownClient } from './client.ts';
import { kafkaErrorType } from './errors.ts';
import { settledWithin } from './settled-within.ts';

/** A member that is silent for so long is taken for dead, and its partitions go to others. */
const SESSION_TIMEOUT_MS = 8000;
const REBALANCE_TIMEOUT_MS = 20_000;
const HEARTBEAT_EACH_MS = 1000;
/** The longest that the broker holds a fetch with nothing to send: how late a rebalance or a resume may be noticed. */
const FETCH_WAIT_MS = 500;
const MAX_FETCH_BYTES = 4 * 1024 * 1024;
const MAX_FETCH_PARTITION_BYTES = 1024 * 1024;
/** Batches of one fetch that kafkajs hands over side by side; each is handed on within milliseconds. */
const HANDED_OVER_AT_ONCE = 16;
/**
 * More patient than elsewhere: a member that sits out a restart of Kafka goes on where it was. A crashed one has not left
 * the group, and its successor can't join before the session timeout has passed.
 */
const RETRY = { ...KAFKAJS_RETRY, retries: 25 };
const CONNECT_TIMEOUT_MS = 40_000;
const CLOSE_TIMEOUT_MS = 5000;

export type SessionOptions = {
  kafka: Kafka;
  groupId: string;
  topic: string;
  fromBeginning: boolean;
  assigners?: PartitionAssigner[];
  /** Synchronous: no batch of this generation is handed over before it returned. */
  onJoined: (partitions: number[], session: ConsumerSession) => void;
  /** A join is about to be asked for; commits that are sent now still count. */
  onRebalancing?: () => void;
  onBatch: (payload: EachBatchPayload) => Promise<void>;
  logger: Logger;
};

/**
 * One life of a kafkajs consumer, from connecting to its crash or close. It is never revived: kafkajs's own restart keeps
 * state that may be what is broken, so whoever wants to go on opens another one.
 */
export class ConsumerSession {
  /** Resolves with the reason when it will deliver no more by itself. */
  readonly ended: Promise<string>;
  /** Grows with every answered fetch and every join: how a watchdog tells life from its absence. */
  beats = 0;
  #options: SessionOptions;
  #consumer: Consumer;
  #destroy: () => void;
  #end: (reason: string) => void = () => {};
  #closing = false;
  #closed: Promise<void> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { kafka, destroy } = ownClient(options.kafka, { retry: RETRY });
    this.#destroy = destroy;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#consumer = kafka.consumer({
      groupId: options.groupId,
      allowAutoTopicCreation: false,
      sessionTimeout: SESSION_TIMEOUT_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_EACH_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      maxBytes: MAX_FETCH_BYTES,
      maxBytesPerPartition: MAX_FETCH_PARTITION_BYTES,
      // No transactions here: what is below the high watermark may be read.
      readUncommitted: true,
      retry: { ...RETRY, restartOnFailure: async () => false },
      ...(options.assigners === undefined ? {} : { partitionAssigners: options.assigners }),
    });
  }

  /** @throws where Kafka can't be reached now. Afterwards, what goes wrong ends the session. */
  async open(): Promise<void> {
    if (this.#closing) return;
    const { events } = this.#consumer;
    const { topic, fromBeginning, onJoined, onRebalancing, onBatch } = this.#options;
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => {
      this.beats++;
      if (!this.#closing) onJoined(payload.memberAssignment[topic] ?? [], this);
    });
    this.#consumer.on(events.FETCH, () => {
      this.beats++;
    });
    this.#consumer.on(events.REBALANCING, () => onRebalancing?.());
    this.#consumer.on(events.CRASH, ({ payload }) =>
      this.#end(`crashed: ${kafkaErrorType(payload.error)}: ${payload.error.message}`),
    );
    const connect = async () => {
      await this.#consumer.connect();
      await this.#consumer.subscribe({ topics: [topic], fromBeginning });
    };
    const connecting = connect();
    if (!(await settledWithin(connecting, CONNECT_TIMEOUT_MS)))
      throw new Error(`kafkajs did not connect within ${CONNECT_TIMEOUT_MS} ms`);
    if (this.#closing) return;
    await connecting;
    void this.#consumer
      .run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: HANDED_OVER_AT_ONCE,
        eachBatch: onBatch,
      })
      .catch((error: unknown) => this.#end(`did not run: ${String(error)}`));
  }

  /** It was told to close, which may take a while: nobody need watch it any more. */
  get closing(): boolean {
    return this.#closing;
  }

  /** The next fetch of the partition begins there. What was fetched from elsewhere meanwhile is not handed over. */
  seek(partition: number, offset: number): void {
    this.#consumer.seek({ topic: this.#options.topic, partition, offset: String(offset) });
  }

  pause(partition: number): void {
    this.#consumer.pause([{ topic: this.#options.topic, partitions: [partition] }]);
  }

  resume(partition: number): void {
    this.#consumer.resume([{ topic: this.#options.topic, partitions: [partition] }]);
  }

  /** Leaves the group if the coordinator answers in time, and cuts the connections in any case. Never throws. */
  async close(reason = 'closed'): Promise<void> {
    if (this.#closing) return this.#closed;
    this.#closing = true;
    this.#end(reason);
    this.#closed = this.#disconnect();
    return this.#closed;
  }

  async #disconnect(): Promise<void> {
    await settledWithin(this.#consumer.disconnect(), CLOSE_TIMEOUT_MS);
    this.#destroy();
  }
}

/** Waits for `promise` while telling the coordinator that this member lives. @throws what `heartbeat` throws: a rebalance. */
export async function waitHeartbeating(promise: Promise<unknown>, heartbeat: () => Promise<void>): Promise<void> {
  while (!(await settledWithin(promise, HEARTBEAT_EACH_MS))) await heartbeat();
}
