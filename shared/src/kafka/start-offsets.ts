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

type CheckOptions = {
  admin: AdminHolder;
  groupId: string;
  topic: string;
  /**
   * By partition, the last commit that was seen, from lookup to lookup: kafkajs, where it finds its offset out of range,
   * forgets it in the group for the log's beginning, which would hide that anything was lost.
   */
  known: Map<number, number>;
  /** Aborts when the answer is no longer wanted. */
  signal: AbortSignal;
  onLogReplaced: (partition: number, position: number, end: number) => void;
};

type StartOptions = CheckOptions & {
  partitions: readonly number[];
  seek: (partition: number, offset: number) => void;
  logger: Logger;
  events: KafkaEvents;
};

/**
 * Whether the log ends below what the group has committed of it, on any partition; asked before the join, as kafkajs would
 * soon forget (see `known`). @throws where Kafka can't be asked now.
 */
export async function checkSameLog({
  admin,
  groupId,
  topic,
  known,
  signal,
  onLogReplaced,
}: CheckOptions): Promise<void> {
  // More than once: a leader that has just been elected may not know its own end yet.
  for (let lookup = 1; !signal.aborted; lookup++) {
    const { committed, ends } = await admin.use((client) => readOffsets(client, groupId, topic));
    const beyond = [...committed].find(([partition, offset]) => offset > (ends.get(partition) ?? 0));
    for (const [partition, offset] of committed) known.set(partition, offset);
    if (beyond === undefined) return;
    const [partition, offset] = beyond;
    if (lookup >= LOOKUPS_UNTIL_REPLACED) return onLogReplaced(partition, offset, ends.get(partition) ?? 0);
    await sleep(LOOKUP_AGAIN_MS, signal);
  }
}

/**
 * Where each assigned partition begins: at its committed offset, else at the beginning of the log. Tried until Kafka
 * answers. @throws Error once the assignment is void.
 */
export async function findStart(options: StartOptions): Promise<Map<number, number>> {
  const { admin, groupId, topic, signal, logger } = options;
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      return startOf(options, await admin.use((client) => readOffsets(client, groupId, topic)));
    } catch (error) {
      logger.warn({ topic, groupId, attempt, err: error }, 'kafka: committed offsets not read, trying again');
      await sleep(backoffMs(attempt - 1, FIRST_RETRY_MS, MOST_RETRY_MS), signal);
    }
  }
  throw new Error('the assignment is void');
}

function startOf(options: StartOptions, found: LogOffsets): Map<number, number> {
  const { topic, partitions, known, events, logger, seek, onLogReplaced } = options;
  const start = new Map<number, number>();
  for (const partition of partitions) {
    const begin = found.begins.get(partition) ?? 0;
    const end = found.ends.get(partition) ?? 0;
    const last = found.committed.get(partition) ?? known.get(partition);
    start.set(partition, Math.max(begin, last ?? 0));
    if (last === undefined) continue;
    known.set(partition, last);
    if (last > end) onLogReplaced(partition, last, end);
    if (last >= begin) continue;
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
