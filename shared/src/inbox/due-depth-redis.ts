import type { Redis } from 'ioredis';
import type { RedisStore } from '../runtime/redis.ts';
import { DUE_SHARDS } from './due-queue-redis.ts';

/** Users that are due and not looked at yet, and how long the first of them has waited. A claim counts as a look. */
export type DueDepth = { users: number; oldestSeconds: number };

/** Asks every shard. The mark of a whole shard has an infinite score, so it is in neither count. */
export async function dueDepth(store: RedisStore, nowMs: number): Promise<DueDepth> {
  // A cluster has the same commands; TypeScript can't call an overload of a union.
  const client = store.client as Redis;
  const shards = await Promise.all(
    Array.from({ length: DUE_SHARDS }, async (_, shard) => {
      const key = `due:${shard}`;
      const users = await client.zcount(key, '-inf', nowMs);
      const [, earliest] = await client.zrange(key, '0', '0', 'WITHSCORES');
      return { users, waitedMs: nowMs - Number(earliest ?? Number.POSITIVE_INFINITY) };
    }),
  );
  return {
    users: shards.reduce((sum, { users }) => sum + users, 0),
    oldestSeconds: Math.max(0, ...shards.map(({ waitedMs }) => waitedMs)) / 1000,
  };
}
