import { randomBytes } from 'node:crypto';
import { decodeIncoming, type IncomingCommand } from '@restante/shared/contract/events';
import { positionOf } from '@restante/shared/contract/ids';
import { mayReceive } from '@restante/shared/delivery/membership';
import {
  type Claim,
  type Claimed,
  claimIds,
  claimIdsThen,
  contentHash,
  unclaimIds,
} from '@restante/shared/inbox/dedupe-redis';
import type { LogBatch } from '@restante/shared/kafka/log-record';
import { type ReadRange, readRange } from '@restante/shared/kafka/read-range';
import type { Logger } from '@restante/shared/runtime/logger';
import type { RedisStore, ScriptCall } from '@restante/shared/runtime/redis';
import type { Conversations } from './conversations.ts';

export type DedupeOptions = {
  kafka: ReadRange['kafka'];
  redis: RedisStore;
  conversations: Conversations;
  topic: string;
  epoch: number;
  seconds: number;
  rereadSeconds: number;
  logger: Logger;
};

/**
 * What a command claims. The hash covers what makes two of one id the same; where the answer goes, and when it was sent, do not. A retry of
 * an id that now means something else is a conflict, whatever kind of command it was.
 */
export function claimOf(command: IncomingCommand, position: number): Claim {
  const { conversation, from, id } = command;
  return {
    sender: from,
    id,
    conversation,
    position,
    hash: contentHash(JSON.stringify([command.t, conversation, ...contentOf(command)])),
  };
}

function contentOf(command: IncomingCommand): unknown[] {
  switch (command.t) {
    case 'send': {
      const { body, kind, replyTo, attachments, ttlSeconds, urgent } = command;
      return [body, kind ?? 'text', replyTo, attachments, ttlSeconds, urgent ?? true];
    }
    case 'delete':
      return [command.position];
    case 'create':
      return [command.title, command.members];
    case 'members':
      return [command.add, command.remove];
  }
}

/**
 * Claims (sender, id) pairs in Redis, and knows when Redis has forgotten any: each partition has a mark on each node of Redis that names
 * the store. Where it is not there, or another store's, the owner of the partition reads its last hour again, to claim what it claimed
 * before, and only then goes on (decisions 5 and 10).
 */
export class DedupeMemory {
  readonly #options: DedupeOptions;

  constructor(options: DedupeOptions) {
    this.#options = options;
  }

  /** @returns what each claim is held by. @throws when Redis or Kafka is away: the batch is handled again */
  async claim(batch: LogBatch, claims: readonly Claim[]): Promise<Claimed[]> {
    const { redis, seconds, logger } = this.#options;
    for (;;) {
      const tags = redis.nodeTags();
      // Looked at after the claims, in the same round trip: what was lost before or between them took the mark with it, or made it
      // another store's.
      const { held, further } = await claimIdsThen(redis, claims, seconds, markCalls(batch.partition, tags));
      const marks = further as Mark[];
      if (marks.every(([, whole]) => whole === 1)) return held;
      logger.warn({ partition: batch.partition }, 'Redis has forgotten which ids were sent: reading the log again');
      await unclaimIds(
        redis,
        claims.filter((claim, i) => held[i]!.position === claim.position),
      );
      await this.#reread(batch);
      // Only where the marks are as they were: one that was emptied, or another that came between, may lack the first or the last.
      const begun = new Map(tags.map((tag, i) => [tag, marks[i]![0]]));
      await redis.run(markCalls(batch.partition, tags, begun));
    }
  }

  async #reread({ partition, records, signal }: LogBatch): Promise<void> {
    const { kafka, redis, conversations, topic, epoch, seconds, rereadSeconds, logger } = this.#options;
    const { offset: toOffset, timestamp } = records[0]!;
    let count = 0;
    await readRange({
      kafka,
      topic,
      partition,
      // By the log's clock: ours may be set wrong.
      sinceMs: timestamp - rereadSeconds * 1000,
      toOffset,
      logger,
      signal,
      handle: async (earlier) => {
        const placed = earlier.flatMap(({ value, offset }) => {
          const decoded = decodeIncoming(value);
          return decoded.ok ? [{ command: decoded.value, position: positionOf(epoch, offset) }] : [];
        });
        await conversations.load(placed.map(({ command }) => command.conversation));
        const claims = placed
          .filter(({ command, position }) => mayHaveActed(command, position, conversations))
          .map(({ command, position }) => claimOf(command, position));
        count += claims.length;
        // In the order of the log, so that the first of two is the one that holds, as before.
        await claimIds(redis, claims, seconds);
      },
    });
    logger.info({ partition, toOffset, count }, 'ids of the last hour claimed again');
  }
}

/** Who was no member was refused, and claimed nothing: the same id may be accepted once they are. */
function mayHaveActed(
  { t, conversation, from }: IncomingCommand,
  position: number,
  conversations: Conversations,
): boolean {
  // Who leaves by a record was a member when it came.
  const kind = t === 'members' ? 'members' : 'message';
  return t === 'create' || mayReceive(conversation, conversations.get(conversation), from, position, kind);
}

/** What a node says of the mark of a partition: what it is, and whether it says that the node is whole. */
type Mark = [mark: string, whole: number];

/** Calls that look at the marks of a partition, a node each. @param begun tag of the node → its mark before all was claimed again: now whole */
function markCalls(partition: number, tags: readonly string[], begun?: ReadonlyMap<string, string>): ScriptCall[] {
  const name = randomBytes(9).toString('base64url');
  return tags.map((tag) => ({
    script: 'inbox:claims-mark',
    keys: [`claims:${partition}:{${tag}}`],
    args: [begun?.get(tag) ?? '', name],
  }));
}
