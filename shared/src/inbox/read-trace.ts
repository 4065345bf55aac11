import { type DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { Cluster } from 'ioredis';
import { deriveState, type RecipientState, type StateReason } from '../delivery/message-state.ts';
import type { RedisStore } from '../runtime/redis.ts';
import { senderOfTurn, TURN_PATTERN } from './claim-keys.ts';
import { readGroup } from './conversations-dynamo.ts';
import { type Claimed, claimedBy } from './dedupe-redis.ts';
import type { Inbox } from './inbox-redis.ts';
import { type FactStores, readMessageFacts } from './message-facts.ts';

/** Why a message can't be traced, and what to do instead. */
export class TraceError extends Error {
  override name = 'TraceError';
  readonly remedy: string;
  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** Entries of an inbox that are looked at, newest first, for when one was put there: only those still in it tell. */
const ENTRIES_LOOKED_AT = 1_000;
const SCAN_COUNT = 10_000;
/** Inboxes that are read at once. */
const PARALLEL = 50;

/** A time, `not kept` where it happened but nobody noted when, absent where it did not. */
export type Moment = number | 'not kept';
export type RecipientTrace = {
  user: string;
  state: RecipientState;
  reason?: StateReason;
  inboxed?: Moment;
  /** The last push to the user since it was stored. */
  pushed?: Moment;
  delivered?: Moment;
  read?: Moment;
};
export type Trace = {
  id: string;
  from: string;
  conversation: string;
  position: number;
  accepted: Moment;
  stored?: Moment;
  expires?: number;
  deleted?: { by: string; at: number };
  recipients: RecipientTrace[];
};

export type TraceStores = FactStores & { redis: RedisStore };

/** @throws TraceError where there is no such message, or there are several: the sender tells them apart */
export async function readTrace(id: string, sender: string | undefined, stores: TraceStores): Promise<Trace> {
  const { from, claimed } = await findClaim(id, sender, stores.redis);
  const { conversation, position } = claimed;
  const group = conversation.startsWith('grp:') ? await readGroup(stores.dynamo, conversation) : undefined;
  const [{ stored, recipients }, deleted] = await Promise.all([
    readMessageFacts({ conversation, position, sender: from, group }, stores),
    readTombstone(stores.dynamo, conversation, position),
  ]);
  const nowMs = Date.now();
  const traces: RecipientTrace[] = [];
  for (let i = 0; i < recipients.length; i += PARALLEL) {
    const part = recipients.slice(i, i + PARALLEL).map(async ({ user, facts }): Promise<RecipientTrace> => {
      const { at: _, ...state } = deriveState(facts, nowMs);
      const listedAt = facts.inboxed ? await listedAtOf(user, conversation, position, stores.inbox) : undefined;
      const pushed = (facts.pushedAtMs ?? 0) >= (facts.storedAtMs ?? Infinity) ? facts.pushedAtMs : undefined;
      return {
        user,
        ...state,
        ...moment('inboxed', facts.inboxed, listedAt),
        ...moment('pushed', pushed !== undefined, pushed),
        ...moment('delivered', facts.delivered, facts.deliveredAtMs),
        ...moment('read', facts.read, facts.readAtMs),
      };
    });
    traces.push(...(await Promise.all(part)));
  }
  return {
    id,
    from,
    conversation,
    position,
    accepted: stored?.sentAt ?? 'not kept',
    ...moment('stored', stored !== undefined, stored?.storedAt),
    ...(stored?.expiresAtMs === undefined ? {} : { expires: stored.expiresAtMs }),
    ...(deleted ? { deleted } : {}),
    recipients: traces,
  };
}

function moment<K extends string>(name: K, happened: boolean, at: number | undefined): { [N in K]?: Moment } {
  return (happened ? { [name]: at ?? 'not kept' } : {}) as { [N in K]?: Moment };
}

async function findClaim(
  id: string,
  sender: string | undefined,
  redis: RedisStore,
): Promise<{ from: string; claimed: Claimed }> {
  const senders = sender === undefined ? await sendersOf(id, redis) : [sender];
  if (senders.length > 1)
    throw new TraceError(`${senders.join(', ')} have sent a message ${id}`, 'say whose: --from USER');
  const [from] = senders;
  const claimed = from === undefined ? undefined : await claimedBy(redis, from, id);
  if (from === undefined || claimed === undefined) {
    throw new TraceError(
      `there is no message ${id}${sender === undefined ? '' : ` of ${sender}`}`,
      'ids are known for 7 days (DEDUPE_SECONDS); what was rejected, or is not stored yet, is not traced',
    );
  }
  return { from, claimed };
}

/** By asking after every sender there is: nothing waits for it, but it takes its time where there are many. */
async function sendersOf(id: string, redis: RedisStore): Promise<string[]> {
  const nodes = redis.client instanceof Cluster ? redis.client.nodes('master') : [redis.client];
  const senders = new Set<string>();
  for (const node of nodes) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(cursor, 'MATCH', TURN_PATTERN, 'COUNT', SCAN_COUNT);
      const all = [...new Set(keys.map(senderOfTurn))];
      const claimed = await Promise.all(all.map((sender) => claimedBy(redis, sender, id)));
      for (const sender of all.filter((_, i) => claimed[i])) senders.add(sender);
      cursor = next;
    } while (cursor !== '0');
  }
  return [...senders].sort();
}

/** When an entry was put into an inbox, while it is there. */
async function listedAtOf(
  user: string,
  conversation: string,
  position: number,
  inbox: Inbox,
): Promise<number | undefined> {
  const { elements } = await inbox.newest(user, ENTRIES_LOOKED_AT);
  return elements.find((entry) => entry.position === position && entry.conversation === conversation)?.listedAtMs;
}

async function readTombstone(
  dynamo: DynamoDBClient,
  conversation: string,
  position: number,
): Promise<{ by: string; at: number } | undefined> {
  const { Item } = await dynamo.send(
    new GetItemCommand({
      TableName: 'tombstones',
      Key: { conversation: { S: conversation }, position: { N: String(position) } },
      ConsistentRead: true,
    }),
  );
  return Item && { by: Item.by?.S ?? '', at: Number(Item.at?.N) };
}
