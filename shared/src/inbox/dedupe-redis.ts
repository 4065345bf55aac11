import { hash as hashOf } from 'node:crypto';
import { directConversation, parseConversation } from '../contract/ids.ts';
import type { RedisStore, RedisValue, ScriptCall } from '../runtime/redis.ts';
import { placesOf, turnAt, turnKeys } from './claim-keys.ts';

/** The first result of a (sender, id): what a retry is answered with, and held against. */
export type Claimed = { conversation: string; position: number; hash: string };
export type Claim = Claimed & { sender: string; id: string };

const POSITION_BASE = 36;

/** Letters of a hash of content, 6 bits each. Only where an id is used for other content too does it decide anything. */
const HASH_LETTERS = 8;

/** Claims of one sender that one call makes: Redis does nothing else meanwhile. */
const CLAIMS_PER_CALL = 64;

/** As short as it can be, for Redis packs what has up to 64 bytes: of a direct conversation only who it is with. */
function claimText({ sender, position, conversation, hash }: Claim): string {
  const parts = parseConversation(conversation);
  const other =
    parts?.kind === 'dm' && parts.members.includes(sender) && parts.members[parts.members[0] === sender ? 1 : 0];
  return `${position.toString(POSITION_BASE)} ${hash} ${other ? `~${other}` : conversation}`;
}

/** What makes two sends the same, as a hash: the first 48 bits of its SHA-256, in base64url. */
export const contentHash = (content: string): string => hashOf('sha256', content, 'base64url').slice(0, HASH_LETTERS);

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
  const groups = bySender(claims);
  const { turn, keptMs } = turnAt(seconds, Date.now());
  const calls = groups.map((group) => callOf('inbox:claim-ids', group, [turn, seconds * 1000, keptMs]));
  const replies = await store.run([...calls, ...after]);
  const held = new Map<Claim, Claimed>();
  for (const [i, group] of groups.entries()) {
    const texts = replies[i] as string[];
    for (const [k, claim] of group.entries()) held.set(claim, parseClaimed(texts[k]!, claim));
  }
  return { held: claims.map((claim) => held.get(claim)!), further: replies.slice(calls.length) };
}

/** In their order, those of a sender together: their hashes are on one node, so one call does for them. */
function bySender(claims: readonly Claim[]): Claim[][] {
  const groups: Claim[][] = [];
  const open = new Map<string, Claim[]>();
  for (const claim of claims) {
    const group = open.get(claim.sender);
    if (group && group.length < CLAIMS_PER_CALL) group.push(claim);
    else {
      const next = [claim];
      groups.push(next);
      open.set(claim.sender, next);
    }
  }
  return groups;
}

/** @param group of one sender */
function callOf(script: string, group: readonly Claim[], args: readonly number[]): ScriptCall {
  const places = group.map(({ sender, id }) => placesOf(sender, id));
  return {
    script,
    keys: [...turnKeys(group[0]!.sender), ...places.flatMap(({ leaves }) => leaves)],
    args: [...args, ...group.flatMap((claim, i) => [places[i]!.field, claimText(claim)])],
  };
}

/** What a (sender, id) became, if it is remembered. */
export async function claimedBy(store: RedisStore, sender: string, id: string): Promise<Claimed | undefined> {
  const { field, leaves } = placesOf(sender, id);
  const keys = [...turnKeys(sender), ...leaves];
  const held = await store.runOne({ script: 'inbox:claimed', keys, args: [field] });
  return held === null ? undefined : parseClaimed(String(held), { sender, id });
}

function parseClaimed(text: string, { sender, id }: Pick<Claim, 'sender' | 'id'>): Claimed {
  const [position, hash, ref] = text.split(' ');
  if (position === undefined || hash === undefined || ref === undefined || !/^[\da-z]+$/.test(position)) {
    const held = JSON.stringify(text.slice(0, 80));
    const { field } = placesOf(sender, id);
    throw new Error(`the claim of ${sender}'s ${id} is ${held}, which is none: HDEL ${field} of each d:{${sender}}:*`);
  }
  const conversation = ref.startsWith('~') ? directConversation(sender, ref.slice(1)) : ref;
  return { position: Number.parseInt(position, POSITION_BASE), conversation, hash };
}

/** Takes claims back that were made without the memory of earlier ones. */
export async function unclaimIds(store: RedisStore, claims: readonly Claim[]): Promise<void> {
  await store.run(bySender(claims).map((group) => callOf('inbox:unclaim-ids', group, [])));
}
