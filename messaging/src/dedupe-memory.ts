import { decodeIncoming, type IncomingCommand } from '@restante/shared/contract/events';
import { positionOf } from '@restante/shared/contract/ids';
import { type Claim, type Claimed, claimIds, contentHash, unclaimIds } from '@restante/shared/inbox/dedupe-redis';
import type { LogBatch } from '@restante/shared/kafka/log-record';
import { type ReadRange, readRange } from '@restante/shared/kafka/read-range';
import type { Logger } from '@restante/shared/runtime/logger';
import type { RedisStore } from '@restante/shared/runtime/redis';

export type DedupeOptions = {
  kafka: ReadRange['kafka'];
  redis: RedisStore;
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
 * Claims (sender, id) pairs in Redis, and knows when Redis has forgotten: a mark for each partition and node of Redis vanishes with the
 * claims. Then the owner of the partition reads its last hour again, to claim what it claimed before, and only then goes on (decision 5).
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
      const held = await claimIds(redis, claims, seconds);
      // Looked at after the claims: what was lost before or between them took the mark with it.
      if (await this.#remembers(batch.partition)) return held;
      logger.warn({ partition: batch.partition }, 'Redis has forgotten which ids were sent: reading the log again');
      await unclaimIds(
        redis,
        claims.filter((claim, i) => held[i]!.position === claim.position),
      );
      await this.#reread(batch);
    }
  }

  #marks(partition: number): string[] {
    return this.#options.redis.nodeTags().map((tag) => `claims:${partition}:{${tag}}`);
  }

  async #remembers(partition: number): Promise<boolean> {
    const { client } = this.#options.redis;
    const marks = await Promise.all(this.#marks(partition).map((mark) => client.get(mark)));
    return marks.every((mark) => mark !== null);
  }

  async #reread({ partition, records, signal }: LogBatch): Promise<void> {
    const { kafka, redis, topic, epoch, seconds, rereadSeconds, logger } = this.#options;
    const toOffset = records[0]!.offset;
    let count = 0;
    await readRange({
      kafka,
      topic,
      partition,
      sinceMs: Date.now() - rereadSeconds * 1000,
      toOffset,
      logger,
      signal,
      handle: async (earlier) => {
        const claims = earlier.flatMap(({ value, offset }) => {
          const decoded = decodeIncoming(value);
          return decoded.ok ? [claimOf(decoded.value, positionOf(epoch, offset))] : [];
        });
        count += claims.length;
        // In the order of the log, so that the first of two is the one that holds, as before.
        await claimIds(redis, claims, seconds);
      },
    });
    logger.info({ partition, toOffset, count }, 'ids of the last hour claimed again');
    await Promise.all(this.#marks(partition).map((mark) => redis.client.set(mark, String(Date.now()))));
  }
}
