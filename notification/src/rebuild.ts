import { randomBytes } from 'node:crypto';
import { type DynamoDBClient, QueryCommand, type QueryCommandInput } from '@aws-sdk/client-dynamodb';
import { type EntryText, ownCopy } from '@restante/shared/contract/entry';
import { type DeviceRow, readDevices } from '@restante/shared/inbox/devices-dynamo';
import { type Inbox, newGeneration } from '@restante/shared/inbox/inbox-redis';
import { inboxKeys, rebuildKey, stagedKey } from '@restante/shared/inbox/scripts';
import { sleep } from '@restante/shared/runtime/sleep';
import type { CommitBarrier, Cut } from './commit-barrier.ts';
import { readCursors } from './cursors-dynamo.ts';

/** How long a rebuild may hold its token without ending; another begins then, and this one's swap is refused. */
const TOKEN_MS = 60_000;
const BUSY_POLL_MS = 40;
const STAGED_TTL_MS = 10 * 60_000;
const STAGE_PAGE = 200;
/** A device that has no durable cursor starts at its birth less this: clocks differ, and cursors lag (decision 11). */
const BIRTH_SLACK_MS = 10 * 60_000;
const PARALLEL_CONVERSATIONS = 8;

export type RebuildContext = {
  inbox: Inbox;
  dynamo: DynamoDBClient;
  barrier: CommitBarrier;
  partitionFor: (conversation: string) => number;
};

type Kept = {
  partition: number;
  position: number;
  storedAt: number;
  expiresAtMs: number;
  entry: EntryText;
  conversation: string;
};

/**
 * Makes a partial inbox whole again, from the history and the durable cursors, as a new generation (decision 11).
 * @returns the connections to reset, or undefined where the inbox was whole. @throws when a store is away: try again
 */
export async function rebuild(
  user: string,
  context: RebuildContext,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  const token = randomBytes(12).toString('base64url');
  for (;;) {
    if (signal.aborted) throw new Error('stopped');
    const begun = await begin(user, token, context);
    if (begun === 'whole') return undefined;
    if (begun === 'busy') {
      await sleep(BUSY_POLL_MS, signal);
      continue;
    }
    const cut = await context.barrier.passed(signal);
    const swapped = await swap(user, token, begun, cut, context);
    if (swapped) return swapped;
  }
}

type Begun = { gen: string; base: string; store: string; marks: Map<string, number> };

async function begin(user: string, token: string, { inbox }: RebuildContext): Promise<Begun | 'whole' | 'busy'> {
  const reply = (await inbox.store.runOne({
    script: 'inbox:rebuild-begin',
    keys: [...inboxKeys(user), rebuildKey(user)],
    args: [newGeneration(), token, TOKEN_MS],
  })) as ['whole' | 'busy'] | ['begun', gen: string, base: string, store: string, acked: string[]];
  if (reply[0] !== 'begun') return reply[0];
  const [, gen, base, store, acked] = reply;
  const marks = new Map<string, number>();
  for (let i = 0; i < acked.length; i += 2) marks.set(acked[i]!, Number(acked[i + 1]));
  return { gen, base, store, marks };
}

async function swap(
  user: string,
  token: string,
  begun: Begun,
  cut: Cut,
  context: RebuildContext,
): Promise<string[] | undefined> {
  const { inbox, dynamo } = context;
  const [rows, cursors, conversations] = await Promise.all([
    readDevices(dynamo, user),
    readCursors(dynamo, user),
    readConversations(dynamo, user),
  ]);
  for (const [field, position] of begun.marks) cursors.set(field, Math.max(position, cursors.get(field) ?? -1));
  const devices = rows.sort((a, b) => b.seenAt - a.seenAt).slice(0, inbox.limits.maxDevices);
  const acked = (row: DeviceRow, item: Kept): boolean => {
    const cursor = cursors.get(`${row.device}#${item.conversation}`);
    if (cursor !== undefined) return item.position <= cursor;
    return !row.first && item.storedAt < row.bornAt - BIRTH_SLACK_MS;
  };
  const kept = await readHistory(user, conversations, devices, cursors, cut, context);
  const owed = kept.filter((item) => devices.length === 0 || devices.some((row) => !acked(row, item)));
  const missing = owed.splice(0, Math.max(0, owed.length - inbox.limits.maxEntries));
  await stage(user, owed, inbox);

  const tail = missing.length + owed.length;
  const packed = devices.map((row) => {
    let cursor = missing.every((item) => acked(row, item)) ? missing.length : 0;
    if (cursor === missing.length)
      for (const item of owed)
        if (acked(row, item)) cursor++;
        else break;
    return `${row.device},${cursor},${row.seenAt},${tail},;`;
  });
  const named = [...new Set(missing.map(({ conversation }) => conversation))].slice(0, 100);
  const reply = (await inbox.store.runOne({
    script: 'inbox:rebuild-swap',
    keys: [...inboxKeys(user), rebuildKey(user), stagedKey(user)],
    args: [
      token,
      begun.gen,
      begun.base,
      newGeneration(),
      missing.length,
      named.map((conversation) => `${conversation}\n`).join(''),
      packed.join(''),
      begun.store,
      cut.size,
      ...[...cut].flat(),
    ],
  })) as string[];
  return reply[0] === 'ok' ? reply.slice(2) : undefined;
}

/** Below the cut, what the user was sent, in the order of the log's time. */
async function readHistory(
  user: string,
  conversations: readonly string[],
  devices: readonly DeviceRow[],
  cursors: ReadonlyMap<string, number>,
  cut: Cut,
  context: RebuildContext,
): Promise<Kept[]> {
  const kept: Kept[] = [];
  let next = 0;
  const work = async () => {
    while (next < conversations.length) {
      const conversation = conversations[next++]!;
      const partition = context.partitionFor(conversation);
      // What every device has acked need not be read.
      const after =
        devices.length === 0
          ? -1
          : Math.min(...devices.map(({ device }) => cursors.get(`${device}#${conversation}`) ?? -1));
      for (const item of await readConversation(
        context.dynamo,
        conversation,
        after,
        cut.get(partition) ?? 0,
        context.inbox.limits.maxEntries,
      )) {
        const mine = toKept(user, item, partition, conversation, devices.length > 1);
        if (mine) kept.push(mine);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_CONVERSATIONS }, work));
  return kept.sort((a, b) => a.storedAt - b.storedAt || a.partition - b.partition || a.position - b.position);
}

type HistoryItem = { position: number; entry: EntryText };

function toKept(
  user: string,
  { position, entry }: HistoryItem,
  partition: number,
  conversation: string,
  ownCopies: boolean,
): Kept | undefined {
  const frame = JSON.parse(entry) as {
    from?: string;
    storedAt?: number;
    at?: number;
    sentAt?: number;
    ttlSeconds?: number;
  };
  const own = frame.from === user && conversation !== `dm:${user}:${user}`;
  if (own && !ownCopies) return undefined;
  const expiresAtMs = frame.ttlSeconds === undefined ? 0 : (frame.sentAt ?? 0) + frame.ttlSeconds * 1000;
  return {
    partition,
    position,
    storedAt: frame.storedAt ?? frame.at ?? 0,
    expiresAtMs,
    entry: own ? ownCopy(entry) : entry,
    conversation,
  };
}

/** The newest `most` items of a conversation with after < position < cut, in growing position. Strongly consistent. */
async function readConversation(
  dynamo: DynamoDBClient,
  conversation: string,
  after: number,
  cut: number,
  most: number,
): Promise<HistoryItem[]> {
  const items: HistoryItem[] = [];
  let from: QueryCommandInput['ExclusiveStartKey'];
  do {
    const { Items, LastEvaluatedKey } = await dynamo.send(
      new QueryCommand({
        TableName: 'messages',
        KeyConditionExpression: 'conversation = :c AND #p BETWEEN :after AND :cut',
        ExpressionAttributeNames: { '#p': 'position' },
        ExpressionAttributeValues: {
          ':c': { S: conversation },
          ':after': { N: String(after + 1) },
          ':cut': { N: String(Math.max(after + 1, cut - 1)) },
        },
        ConsistentRead: true,
        ScanIndexForward: false,
        ExclusiveStartKey: from,
      }),
    );
    for (const item of Items ?? []) {
      const position = Number(item.position?.N);
      if (position < cut) items.push({ position, entry: item.entry?.S ?? '{}' });
    }
    from = LastEvaluatedKey;
  } while (from && items.length < most);
  return items.reverse();
}

async function readConversations(dynamo: DynamoDBClient, user: string): Promise<string[]> {
  const conversations: string[] = [];
  let from: QueryCommandInput['ExclusiveStartKey'];
  do {
    const { Items, LastEvaluatedKey } = await dynamo.send(
      new QueryCommand({
        TableName: 'memberships',
        KeyConditionExpression: '#u = :u',
        ExpressionAttributeNames: { '#u': 'user' },
        ExpressionAttributeValues: { ':u': { S: user } },
        ConsistentRead: true,
        ExclusiveStartKey: from,
      }),
    );
    for (const item of Items ?? []) if (item.conversation?.S) conversations.push(item.conversation.S);
    from = LastEvaluatedKey;
  } while (from);
  return conversations;
}

async function stage(user: string, kept: readonly Kept[], inbox: Inbox): Promise<void> {
  const { client } = inbox.store;
  const key = stagedKey(user);
  const now = Date.now();
  await client.del(key);
  for (let i = 0; i < kept.length; i += STAGE_PAGE) {
    const page = kept
      .slice(i, i + STAGE_PAGE)
      .map(({ expiresAtMs, partition, entry }) => `${now},${expiresAtMs},${partition},${entry}`);
    await client.rpush(key, ...page);
  }
  if (kept.length > 0) await client.pexpire(key, STAGED_TTL_MS);
}
