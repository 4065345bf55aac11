import type { RedisStore, RedisValue, ScriptCall } from '../runtime/redis.ts';

/** The due queue is cut into shards, so that a cluster spreads it and several workers share it. */
export const DUE_SHARDS = 8;

const shardKey = (shard: number): string => `due:${shard}`;

/** The shard of a user: FNV-1a, for it must be the same in every process. */
export function dueShard(user: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < user.length; i++) hash = Math.imul(hash ^ user.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % DUE_SHARDS;
}

/** When a user is looked at next, undefined where nobody will. */
export async function dueAt(store: RedisStore, user: string): Promise<number | undefined> {
  const score = await store.client.zscore(shardKey(dueShard(user)), user);
  return score === null ? undefined : Number(score);
}

export type DueUser = { user: string; atMs: number };
export type Claim = { user: string; score: string };
export type Settlement = Claim & { nextAtMs: number | undefined };

/** Calls that add users, one a shard. An earlier time than the queue's wins (decision 15). */
export function dueAddCalls(users: Iterable<DueUser>): ScriptCall[] {
  const shards = new Map<number, (string | number)[]>();
  for (const { user, atMs } of users) {
    const shard = dueShard(user);
    const args = shards.get(shard);
    if (args) args.push(user, atMs);
    else shards.set(shard, [user, atMs]);
  }
  return [...shards].map(([shard, args]) => ({ script: 'inbox:due-add', keys: [shardKey(shard)], args }));
}

/**
 * Claims up to `limit` due users of each shard. Whoever is not settled within `claimMs` is due again.
 * @returns the claims, and the shards that Redis lost: they must be filled again (decision 10)
 */
export async function claimDue(
  store: RedisStore,
  limit: number,
  claimMs: number,
): Promise<{ claims: Claim[]; lost: number[] }> {
  const calls = Array.from({ length: DUE_SHARDS }, (_, shard) => ({
    script: 'inbox:due-claim',
    keys: [shardKey(shard)],
    args: [limit, claimMs],
  }));
  const claims: Claim[] = [];
  const lost: number[] = [];
  for (const [shard, reply] of (await store.run(calls)).entries()) {
    const [whole, ...pairs] = reply as RedisValue[];
    if (whole !== '1') lost.push(shard);
    for (let i = 0; i < pairs.length; i += 2) claims.push({ user: String(pairs[i]), score: String(pairs[i + 1]) });
  }
  return { claims, lost };
}

/** Marks shards as filled again. */
export async function markWhole(store: RedisStore, shards: readonly number[]): Promise<void> {
  await store.run(shards.map((shard) => ({ script: 'inbox:due-whole', keys: [shardKey(shard)], args: [] })));
}

/** Ends claims: next time, or none. What was added since the claim stays as it is. */
export async function settleDue(store: RedisStore, settlements: readonly Settlement[]): Promise<void> {
  const shards = new Map<number, (string | number)[]>();
  for (const { user, score, nextAtMs } of settlements) {
    const shard = dueShard(user);
    const args = shards.get(shard) ?? [];
    args.push(user, score, nextAtMs ?? 0);
    shards.set(shard, args);
  }
  await store.run([...shards].map(([shard, args]) => ({ script: 'inbox:due-settle', keys: [shardKey(shard)], args })));
}
