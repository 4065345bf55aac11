import type { Admin } from 'kafkajs';
import type { Logger } from 'pino';
import { backoffMs, sleep } from '../runtime/sleep.ts';
import type { AdminHolder } from './admin-holder.ts';
import type { KafkaEvents } from './events.ts';
import { committed } from './topics.ts';

const FIRST_RETRY_MS = 200;
const MOST_RETRY_MS = 5000;
/** Lookups in a row, a second apart, that find the log to end below what was committed: then it is another log. */
const LOOKUPS_UNTIL_REPLACED = 5;
const LOOKUP_AGAIN_MS = 1000;

type StartOptions = {
  admin: AdminHolder;
  groupId: string;
  topic: string;
  partitions: readonly number[];
  /** Aborts when the assignment is void. */
  signal: AbortSignal;
  seek: (partition: number, offset: number) => void;
  onLogReplaced: (partition: number, position: number, end: number) => void;
  logger: Logger;
  events: KafkaEvents;
};

/**
 * Where each assigned partition begins: at its committed offset, else at the beginning of the log. Tried until Kafka
 * answers. @throws Error once the assignment is void.
 */
export async function findStart(options: StartOptions): Promise<Map<number, number>> {
  const { admin, groupId, topic, partitions, signal, logger } = options;
  for (let attempt = 1, replaced = 0; !signal.aborted; attempt++) {
    try {
      const found = await admin.use((client) => readOffsets(client, groupId, topic));
      if (signal.aborted) break;
      const beyond = partitions.find(
        (partition) => (found.committed.get(partition) ?? 0) > (found.ends.get(partition) ?? 0),
      );
      if (beyond === undefined) return startOf(options, found);
      // More than once: a leader that has just been elected may not know its own end yet.
      if (++replaced >= LOOKUPS_UNTIL_REPLACED)
        options.onLogReplaced(beyond, found.committed.get(beyond)!, found.ends.get(beyond) ?? 0);
      await sleep(LOOKUP_AGAIN_MS, signal);
    } catch (error) {
      logger.warn({ topic, groupId, attempt, err: error }, 'kafka: committed offsets not read, trying again');
      await sleep(backoffMs(attempt - 1, FIRST_RETRY_MS, MOST_RETRY_MS), signal);
    }
  }
  throw new Error('the assignment is void');
}

function startOf({ topic, partitions, events, logger, seek }: StartOptions, found: LogOffsets): Map<number, number> {
  const start = new Map<number, number>();
  for (const partition of partitions) {
    const begin = found.begins.get(partition) ?? 0;
    const last = found.committed.get(partition);
    start.set(partition, Math.max(begin, last ?? 0));
    if (last === undefined || last >= begin) continue;
    events.jumped?.(topic, partition, last, begin);
    logger.error(
      { topic, partition, from: last, to: begin },
      'kafka: the log no longer has these records, going on after them',
    );
    seek(partition, begin);
  }
  return start;
}

type LogOffsets = { committed: Map<number, number>; begins: Map<number, number>; ends: Map<number, number> };

async function readOffsets(admin: Admin, groupId: string, topic: string): Promise<LogOffsets> {
  // Committed first: the log only grows, so that an end read later can't lie below it unless the log is another one.
  const committedOffsets = await committed(admin, groupId, topic);
  const bounds = await admin.fetchTopicOffsets(topic);
  return {
    committed: committedOffsets,
    begins: new Map(bounds.map(({ partition, low }) => [partition, Number(low)])),
    ends: new Map(bounds.map(({ partition, high }) => [partition, Number(high)])),
  };
}
