import { type DynamoDBClient, QueryCommand, type QueryCommandInput } from '@aws-sdk/client-dynamodb';
import { type EntryText, ownCopy } from '@restante/shared/contract/entry';
import { type Group, mayReceive } from '@restante/shared/delivery/membership';
import { queryAll, readGroup } from '@restante/shared/inbox/conversations-dynamo';
import type { DeviceRow } from '@restante/shared/inbox/devices-dynamo';
import { pool } from '@restante/shared/runtime/pool';
import type { Cut } from './commit-barrier.ts';

const PARALLEL_CONVERSATIONS = 8;

/** An entry of the history that belongs in a user's inbox. */
export type Kept = {
  partition: number;
  position: number;
  storedAt: number;
  expiresAtMs: number;
  entry: EntryText;
  conversation: string;
};

export type HistoryQuery = {
  user: string;
  conversations: readonly { conversation: string }[];
  devices: readonly DeviceRow[];
  cursors: ReadonlyMap<string, number>;
  cut: Cut;
  partitionFor: (conversation: string) => number;
  /** Of one conversation, the newest: reading ends with the page that reaches it. */
  most: number;
  /** How many are in a page; as many as DynamoDB gives, a megabyte, where it isn't said. */
  pageItems?: number;
};

/**
 * Below the cut, what a user was sent, in the order of the log's time between the beginnings of two devices. Of each conversation what they were
 * a member for, at that position; of what was deleted the tombstone alone (decisions 3, 4 and 11).
 */
export async function readHistory(query: HistoryQuery, dynamo: DynamoDBClient): Promise<Kept[]> {
  const begins = beginnings(query.devices);
  const kept: Kept[] = [];
  await pool(query.conversations, PARALLEL_CONVERSATIONS, async ({ conversation }) => {
    kept.push(...(await readOne(conversation, query, begins[1], dynamo)));
  });
  return inOrder(kept, begins);
}

/** By partition, the first position that is a device's. */
type Beginning = ReadonlyMap<number, number>;

/** Where devices begin, the oldest first. None before the one that was made before it: they were made one after the other. */
function beginnings(devices: readonly DeviceRow[]): Beginning[] {
  const sum = (start: Beginning) => [...start.values()].reduce((total, position) => total + position, 0);
  let latest: Beginning = new Map();
  return devices
    .map(({ first, start }) => (first ? new Map<number, number>() : start))
    .sort((a, b) => sum(a) - sum(b))
    .map((start) => {
      latest = new Map([...latest, ...[...start].map(([p, at]) => [p, Math.max(at, latest.get(p) ?? 0)] as const)]);
      return latest;
    });
}

/**
 * What came before a device was made stands before all that came after, so that its cursor can pass it: it never had that, and would get it
 * behind later ones. Else by the time of the log. In a partition the position rules: a broker's clock may be set back.
 */
function inOrder(kept: Kept[], begins: readonly Beginning[]): Kept[] {
  const age = ({ partition, position }: Kept) =>
    begins.filter((begin) => position >= (begin.get(partition) ?? 0)).length;
  const latest = new Map<number, number>();
  const timed = kept
    .sort((a, b) => a.position - b.position)
    .map((item) => {
      const at = Math.max(item.storedAt, latest.get(item.partition) ?? 0);
      latest.set(item.partition, at);
      return { item, at, age: age(item) };
    });
  return timed
    .sort(
      (a, b) =>
        a.age - b.age || a.at - b.at || a.item.partition - b.item.partition || a.item.position - b.item.position,
    )
    .map(({ item }) => item);
}

/** @param ownFrom own copies begin where the user's second device did: earlier ones would come behind what the first has had since */
async function readOne(
  conversation: string,
  query: HistoryQuery,
  ownFrom: Beginning | undefined,
  dynamo: DynamoDBClient,
): Promise<Kept[]> {
  const { user, devices, cursors, cut, partitionFor } = query;
  const partition = partitionFor(conversation);
  // What every device has acked need not be read.
  const after =
    devices.length === 0
      ? -1
      : Math.min(...devices.map(({ device }) => cursors.get(`${device}#${conversation}`) ?? -1));
  const [group, deleted, items] = await Promise.all([
    conversation.startsWith('grp:') ? readGroup(dynamo, conversation) : undefined,
    readDeleted(dynamo, conversation, after),
    readItems(dynamo, conversation, after, cut.get(partition) ?? 0, query),
  ]);
  return items.flatMap((item) => {
    if (deleted.has(item.position)) return [];
    return toKept(user, item, partition, conversation, group, ownFrom && (ownFrom.get(partition) ?? 0)) ?? [];
  });
}

type HistoryItem = { position: number; entry: EntryText };
type Frame = {
  t: 'message' | 'deleted' | 'members';
  from?: string;
  by?: string;
  storedAt?: number;
  at?: number;
  sentAt?: number;
  ttlSeconds?: number;
};

function toKept(
  user: string,
  { position, entry }: HistoryItem,
  partition: number,
  conversation: string,
  group: Group | undefined,
  ownFrom: number | undefined,
): Kept | undefined {
  const frame = JSON.parse(entry) as Frame;
  if (!mayReceive(conversation, group, user, position, frame.t)) return undefined;
  const author = frame.t === 'message' ? frame.from : frame.t === 'deleted' ? frame.by : undefined;
  const own = author === user && conversation !== `dm:${user}:${user}`;
  if (own && (ownFrom === undefined || position < ownFrom)) return undefined;
  const expiresAtMs = frame.ttlSeconds === undefined ? 0 : (frame.sentAt ?? 0) + frame.ttlSeconds * 1000;
  const storedAt = frame.storedAt ?? frame.at ?? 0;
  return { partition, position, storedAt, expiresAtMs, entry: own ? ownCopy(entry) : entry, conversation };
}

async function readDeleted(dynamo: DynamoDBClient, conversation: string, after: number): Promise<Set<number>> {
  const rows = await queryAll(dynamo, {
    TableName: 'tombstones',
    KeyConditionExpression: 'conversation = :c AND #p > :after',
    ExpressionAttributeNames: { '#p': 'position' },
    ExpressionAttributeValues: { ':c': { S: conversation }, ':after': { N: String(after) } },
  });
  return new Set(rows.map((row) => Number(row.position?.N)));
}

/** The newest `most` items of a conversation with after < position < cut, in growing position. Strongly consistent. */
async function readItems(
  dynamo: DynamoDBClient,
  conversation: string,
  after: number,
  cut: number,
  { most, pageItems }: HistoryQuery,
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
        ...(pageItems === undefined ? {} : { Limit: pageItems }),
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
