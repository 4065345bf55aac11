import { createHash } from 'node:crypto';
import { directConversation, parseConversation } from '../contract/ids.ts';
import type { RedisStore, RedisValue, ScriptCall } from '../runtime/redis.ts';

/** The first result of a (sender, id): what a retry is answered with, and held against. */
export type Claimed = { conversation: string; position: number; hash: string };
export type Claim = Claimed & { sender: string; id: string };

/** Letters of a hash, 6 bits each: with 72 bits, a million ids of one sender are all different but once in ten thousand million times. */
const HASH_LETTERS = 12;

const POSITION_BASE = 36;

/** The first 72 bits of the SHA-256, in base64url. */
const shortHash = (text: string): string =>
  createHash('sha256').update(text).digest('base64url').slice(0, HASH_LETTERS);

/** By a hash of the id: there is a key for every message of a week, so its length counts (ADR 9). */
export const dedupeKey = (sender: string, id: string): string => `d:{${sender}}:${shortHash(id)}`;

/** What the keys of an id look like, whoever sent it: for operators, who may not know. */
export const claimPattern = (id: string): string => dedupeKey('*', id);
export const senderOfClaim = (key: string): string => key.slice('d:{'.length, key.lastIndexOf('}'));

/** As short as it can be, for Redis keeps up to 44 bytes beside the object: of a direct conversation only who it is with. */
function claimText({ sender, position, conversation, hash }: Claim): string {
  const parts = parseConversation(conversation);
  const other =
    parts?.kind === 'dm' && parts.members.includes(sender) && parts.members[parts.members[0] === sender ? 1 : 0];
  return `${position.toString(POSITION_BASE)} ${hash} ${other ? `~${other}` : conversation}`;
}

/** What makes two sends the same, as a hash: the first 72 bits of its SHA-256, in base64url. */
export const contentHash = (content: string): string => shortHash(content);

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
 * @returns `held` as claimIds; `further`: the replies of the further calls
 * @throws as claimIds
 */
export async function claimIdsThen(
  store: RedisStore,
  claims: readonly Claim[],
  seconds: number,
  after: readonly ScriptCall[],
): Promise<{ held: Claimed[]; further: RedisValue[] }> {
  const replies = await store.run([
    ...claims.map((claim) => ({
      script: 'inbox:claim-id',
      keys: [dedupeKey(claim.sender, claim.id)],
      args: [claimText(claim), seconds],
    })),
    ...after,
  ]);
  return {
    held: claims.map(({ sender, id }, i) => parseClaimed(String(replies[i]), sender, id)),
    further: replies.slice(claims.length),
  };
}

/** What a (sender, id) became, if it is remembered. */
export async function claimedBy(store: RedisStore, sender: string, id: string): Promise<Claimed | undefined> {
  const held = await store.client.get(dedupeKey(sender, id));
  return held === null ? undefined : parseClaimed(held, sender, id);
}

function parseClaimed(text: string, sender: string, id: string): Claimed {
  const [position, hash, ref] = text.split(' ');
  if (position === undefined || hash === undefined || ref === undefined || !/^[\da-z]+$/.test(position)) {
    throw new Error(`${dedupeKey(sender, id)} holds ${JSON.stringify(text.slice(0, 80))}, not a claim: delete the key`);
  }
  const conversation = ref.startsWith('~') ? directConversation(sender, ref.slice(1)) : ref;
  return { position: Number.parseInt(position, POSITION_BASE), conversation, hash };
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
