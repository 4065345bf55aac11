import { createHash } from 'node:crypto';
import type { RedisStore, RedisValue, ScriptCall } from '../runtime/redis.ts';

/** The first result of a (sender, id): what a retry is answered with, and held against. */
export type Claimed = { conversation: string; position: number; hash: string };
export type Claim = Claimed & { sender: string; id: string };

const dedupeKey = (sender: string, id: string): string => `dedupe:{${sender}}:${id}`;

/** What the keys of an id look like, whoever sent it: for operators, who may not know. */
export const claimPattern = (id: string): string => dedupeKey('*', id);
export const senderOfClaim = (key: string): string => key.slice('dedupe:{'.length, key.lastIndexOf('}'));

const claimText = ({ position, conversation, hash }: Claimed): string => `${position} ${conversation} ${hash}`;

/** SHA-256 of what makes two sends the same, in base64url. */
export const contentHash = (content: string): string => createHash('sha256').update(content).digest('base64url');

/**
 * Claims each (sender, id) for its position, first come first served, one round trip for all (decision 5).
 * @returns for each claim what is claimed now: itself where it was first, or is its own replay; else the earlier one.
 * @throws UnavailableError: claim all again; a claim at the same position is its own replay
 */
export async function claimIds(store: RedisStore, claims: readonly Claim[], seconds: number): Promise<Claimed[]> {
  return (await claimIdsThen(store, claims, seconds, [])).held;
}

/**
 * `claimIds`, and after them further calls, in the same round trip.
 * @returns `held` as claimIds; `then`: the replies of the further calls
 * @throws as claimIds
 */
export async function claimIdsThen(
  store: RedisStore,
  claims: readonly Claim[],
  seconds: number,
  further: readonly ScriptCall[],
): Promise<{ held: Claimed[]; then: RedisValue[] }> {
  const replies = await store.run([
    ...claims.map((claim) => ({
      script: 'inbox:claim-id',
      keys: [dedupeKey(claim.sender, claim.id)],
      args: [claimText(claim), seconds],
    })),
    ...further,
  ]);
  return {
    held: claims.map((claim, i) => parseClaimed(String(replies[i]), dedupeKey(claim.sender, claim.id))),
    then: replies.slice(claims.length),
  };
}

/** What a (sender, id) became, if it is remembered. */
export async function claimedBy(store: RedisStore, sender: string, id: string): Promise<Claimed | undefined> {
  const held = await store.client.get(dedupeKey(sender, id));
  return held === null ? undefined : parseClaimed(held, dedupeKey(sender, id));
}

function parseClaimed(text: string, key: string): Claimed {
  const [position, conversation, hash] = text.split(' ');
  if (position === undefined || conversation === undefined || hash === undefined || !/^\d+$/.test(position)) {
    throw new Error(`${key} holds ${JSON.stringify(text.slice(0, 80))}, not a claim: delete the key`);
  }
  return { position: Number(position), conversation, hash };
}

/** Takes claims back that were made without the memory of earlier ones. */
export async function unclaimIds(store: RedisStore, claims: readonly Claim[]): Promise<void> {
  await store.run(
    claims.map((claim) => ({
      script: 'inbox:unclaim-id',
      keys: [dedupeKey(claim.sender, claim.id)],
      args: [claimText(claim)],
    })),
  );
}
