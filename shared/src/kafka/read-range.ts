import { randomUUID } from 'node:crypto';
import type { Admin, Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import { AdminHolder } from './admin-holder.ts';
import { ConsumerSession } from './consumer-session.ts';
import { type LogRecord, logRecord } from './log-record.ts';
import { settledWithin } from './settled-within.ts';
import { onlySlot } from './slot-reader.ts';

const DELETE_GROUP_TIMEOUT_MS = 3_000;

export type ReadRange = {
  kafka: Kafka;
  topic: string;
  partition: number;
  /** The first record is the earliest one that is not older than this. */
  sinceMs: number;
  /** Begins at this offset instead. */
  fromOffset?: number;
  /** Exclusive. */
  toOffset: number;
  /** Awaited before the next records are fetched. */
  handle: (records: LogRecord[]) => Promise<void>;
  logger: Logger;
  signal: AbortSignal;
};

/**
 * Reads a part of one partition, once, beside the group that consumes it: by a group of its own that commits nothing.
 * Resolves when every record of the range was handled. @throws where Kafka went away meanwhile, or the signal aborts: begin again
 */
export async function readRange(range: ReadRange): Promise<void> {
  const { kafka, topic, partition, toOffset, logger, signal } = range;
  const admin = new AdminHolder(kafka);
  const groupId = `range.${topic}.${partition}.${randomUUID()}`;
  let session: ConsumerSession | undefined;
  try {
    const from = range.fromOffset ?? (await admin.use((client) => firstSince(client, range)));
    if (from < 0 || from >= toOffset) return;
    let finish: (reason: 'done' | Error) => void = () => {};
    const finished = new Promise<'done' | Error>((resolve) => {
      finish = resolve;
    });
    session = new ConsumerSession({
      kafka,
      groupId,
      topic,
      fromBeginning: true,
      assigners: [onlySlot(topic, partition)],
      logger,
      onJoined: (_partitions, joined) => joined.seek(partition, from),
      onBatch: async ({ batch, resolveOffset, isStale }) => {
        if (isStale()) return;
        const records = batch.messages.map(logRecord).filter(({ offset }) => offset >= from && offset < toOffset);
        try {
          await range.handle(records);
        } catch (error) {
          return finish(error instanceof Error ? error : new Error(String(error)));
        }
        resolveOffset(batch.lastOffset());
        if (Number(batch.lastOffset()) + 1 >= toOffset) finish('done');
      },
    });
    signal.addEventListener('abort', () => finish(new Error('stopped')), { once: true });
    await session.open();
    const outcome = await Promise.race([finished, session.ended.then((reason) => new Error(reason))]);
    if (outcome !== 'done') throw outcome;
  } finally {
    await session?.close();
    await settledWithin(
      admin.use((client) => client.deleteGroups([groupId])),
      DELETE_GROUP_TIMEOUT_MS,
    );
    await admin.close();
  }
}

/** @returns -1 where the partition has nothing since then */
async function firstSince(admin: Admin, { topic, partition, sinceMs }: ReadRange): Promise<number> {
  const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, sinceMs);
  return Number(offsets.find((one) => one.partition === partition)?.offset ?? -1);
}
