import { randomUUID } from 'node:crypto';
import { AssignerProtocol, type EachBatchPayload, type Kafka, type PartitionAssigner } from 'kafkajs';
import type { Logger } from 'pino';
import { backoffMs, sleep } from '../runtime/sleep.ts';
import { AdminHolder } from './admin-holder.ts';
import { ConsumerSession } from './consumer-session.ts';
import type { KafkaEvents } from './events.ts';
import { type LogRecord, logRecord } from './log-record.ts';
import { settledWithin } from './settled-within.ts';

const FIRST_RETRY_MS = 200;
const MOST_RETRY_MS = 2000;
const GOOD_SESSION_MS = 60_000;
const CHECK_EACH_MS = 3000;
const CHECKS_UNTIL_STUCK = 3;
const SEEKS_BEFORE_LOST = 3;
const DELETE_GROUP_TIMEOUT_MS = 3000;

export type SlotReaderOptions = {
  kafka: Kafka;
  topic: string;
  partition: number;
  /** Synchronous and quick. A throw is logged, and the records count as read: they are hints (DESIGN.md, decision 12). */
  handle: (records: LogRecord[]) => void;
  /** Records that should have been read are not in the log any more. */
  onLost: () => void;
  checkEachMs?: number;
  logger: Logger;
  events?: KafkaEvents;
};

/**
 * Reads one partition from its end. Resolves when positioned: every record that is appended from then on will be handled.
 * @throws once `signal` aborts, however long Kafka was away.
 */
export async function startSlotReader(options: SlotReaderOptions, signal?: AbortSignal): Promise<SlotReader> {
  const reader = new SlotReader(options);
  const aborted = new Promise<'aborted'>((resolve) =>
    signal?.addEventListener('abort', () => resolve('aborted'), { once: true }),
  );
  const outcome = signal?.aborted ? 'aborted' : await Promise.race([reader.positioned, aborted]);
  if (outcome !== 'aborted') return reader;
  await reader.stop();
  throw new Error(`the reader of slot ${options.partition} was stopped before it was positioned`);
}

export class SlotReader {
  /** Resolves when the reader has joined and stands at what was the end of the log after that was asked for. */
  readonly positioned: Promise<void>;
  #options: SlotReaderOptions;
  #admin: AdminHolder;
  #groupId: string | undefined;
  #next: number | undefined;
  #session: ConsumerSession | undefined;
  #joined = false;
  #misplaced = 0;
  #stopping = new AbortController();
  #setPositioned: () => void = () => {};
  #timer: NodeJS.Timeout;
  #checking = false;
  #stuck = { position: -1, beats: -1, checks: 0 };
  #loop: Promise<void>;

  constructor(options: SlotReaderOptions) {
    this.#options = options;
    this.#admin = new AdminHolder(options.kafka);
    this.positioned = new Promise((resolve) => {
      this.#setPositioned = resolve;
    });
    this.#timer = setInterval(() => void this.#checkOnce(), options.checkEachMs ?? CHECK_EACH_MS).unref();
    this.#loop = this.#keepRunning();
  }

  /** Whether it is a member of its group now; while it is not, nothing is lost, only late. */
  healthy(): boolean {
    return this.#joined && !this.#stopping.signal.aborted;
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return this.#loop;
    this.#stopping.abort();
    clearInterval(this.#timer);
    await this.#session?.close();
    await this.#loop;
    // Kafka forgets an empty group by itself; until then it would be listed.
    const last = this.#groupId;
    if (last !== undefined)
      await settledWithin(
        this.#admin.use((admin) => admin.deleteGroups([last])),
        DELETE_GROUP_TIMEOUT_MS,
      );
    await this.#admin.close();
  }

  async #keepRunning(): Promise<void> {
    const { signal } = this.#stopping;
    const { topic, partition, logger, events } = this.#options;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const openedAt = performance.now();
      let reason: string;
      try {
        // Before the join: what is appended after this is read, whenever the join succeeds.
        this.#next ??= (await this.#bounds()).end;
        reason = await this.#runSession();
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
      if (signal.aborted) return;
      if (performance.now() - openedAt > GOOD_SESSION_MS) attempt = 1;
      events?.restarted?.(topic, reason);
      logger.warn({ topic, partition, reason, attempt }, 'kafka: slot reader ended, making another');
      await sleep(backoffMs(attempt - 1, FIRST_RETRY_MS, MOST_RETRY_MS), signal);
    }
  }

  async #runSession(): Promise<string> {
    const { kafka, topic, partition, logger } = this.#options;
    // A group of its own, so that no other gateway can be given this slot, nor this gateway another; and a new one each
    // time, for a member that died with the connection would be waited for until its session times out.
    const groupId = `slot.${topic}.${partition}.${randomUUID()}`;
    this.#groupId = groupId;
    const session = new ConsumerSession({
      kafka,
      groupId,
      topic,
      fromBeginning: false,
      assigners: [onlySlot(topic, partition)],
      logger,
      onJoined: (_partitions, joined) => {
        // At each join: kafkajs would begin at the end of the log, and skip what came meanwhile.
        joined.seek(partition, this.#next!);
        this.#joined = true;
        this.#setPositioned();
      },
      onBatch: async (payload) => this.#take(payload),
    });
    this.#session = session;
    try {
      await session.open();
      return await session.ended;
    } finally {
      this.#joined = false;
      this.#session = undefined;
      await session.close();
    }
  }

  #take({ batch, resolveOffset, isStale }: EachBatchPayload): void {
    if (isStale() || this.#stopping.signal.aborted) return;
    const fetchedOffset = Number((batch as typeof batch & { fetchedOffset: string }).fetchedOffset);
    if (fetchedOffset !== this.#next && !this.#mayContinueAt(fetchedOffset)) return;
    this.#misplaced = 0;
    const lastOffset = batch.lastOffset();
    this.#next = Number(lastOffset) + 1;
    resolveOffset(lastOffset);
    try {
      this.#options.handle(batch.messages.map(logRecord));
    } catch (error) {
      const { topic, partition, logger } = this.#options;
      logger.error({ topic, partition, offset: fetchedOffset, err: error }, 'kafka: the handler of a slot threw');
    }
  }

  /** A batch from elsewhere: first we seek to where we should be; where that doesn't help, those records are gone. */
  #mayContinueAt(fetchedOffset: number): boolean {
    this.#misplaced++;
    if (this.#misplaced <= SEEKS_BEFORE_LOST) {
      this.#session?.seek(this.#options.partition, this.#next!);
      return false;
    }
    this.#lost(fetchedOffset);
    return true;
  }

  #lost(to: number): void {
    const { topic, partition, logger, events, onLost } = this.#options;
    logger.error(
      { topic, partition, from: this.#next, to },
      'kafka: records of the slot are gone, going on from the end',
    );
    events?.jumped?.(topic, partition, this.#next!, to);
    this.#next = to;
    onLost();
  }

  async #bounds(): Promise<{ begin: number; end: number }> {
    const { topic, partition } = this.#options;
    const offsets = await this.#admin.use((admin) => admin.fetchTopicOffsets(topic));
    const bounds = offsets.find((one) => one.partition === partition);
    if (bounds === undefined) throw new Error(`topic ${topic} has no partition ${partition}`);
    return { begin: Number(bounds.low), end: Number(bounds.high) };
  }

  /** A check may wait for Kafka longer than the time between two: they must not count in parallel. */
  async #checkOnce(): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    await this.#check();
    this.#checking = false;
  }

  /** Looks now and then whether the log was cut or re-made under us, and whether kafkajs has stopped fetching. */
  async #check(): Promise<void> {
    const session = this.#session;
    if (session === undefined || session.closing) return;
    const position = this.#next!;
    const beats = session.beats;
    const bounds = await this.#bounds().catch(() => undefined);
    if (session !== this.#session || this.#stopping.signal.aborted) return;
    const lifeless = beats === this.#stuck.beats;
    const behind =
      bounds !== undefined && position === this.#stuck.position && position === this.#next && position < bounds.end;
    this.#stuck = { position, beats, checks: lifeless || behind ? this.#stuck.checks + 1 : 0 };
    if (this.#stuck.checks < CHECKS_UNTIL_STUCK) {
      if (bounds === undefined || this.#next !== position || (position >= bounds.begin && position <= bounds.end))
        return;
      this.#lost(bounds.end);
      session.seek(this.#options.partition, bounds.end);
      return;
    }
    this.#stuck.checks = 0;
    void session.close(`stuck at ${position} of ${bounds?.end ?? 'unknown'}`);
  }
}

/** An assigner for a group of one: it gives the member that one partition. */
export function onlySlot(topic: string, partition: number): PartitionAssigner {
  const name = 'restante-slot';
  return () => ({
    name,
    version: 1,
    assign: async ({ members }) =>
      members.map(({ memberId }) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({
          version: 1,
          assignment: { [topic]: [partition] },
          userData: Buffer.alloc(0),
        }),
      })),
    protocol: ({ topics }) => ({
      name,
      metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData: Buffer.alloc(0) }),
    }),
  });
}
