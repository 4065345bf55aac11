import { type DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { type Group, membersAt } from '../delivery/membership.ts';
import type { RecipientFacts } from '../delivery/message-state.ts';
import { type Inbox, parseMessageFacts } from './inbox-redis.ts';
import type { Reached, ReceiptStore, UserReceipts } from './receipts-redis.ts';

export type FactStores = {
  dynamo: DynamoDBClient;
  inbox: Inbox;
  receipts: ReceiptStore;
  partitionFor: (conversation: string) => number;
};
export type MessagePlace = { conversation: string; position: number; sender: string; group: Group | undefined };
export type StoredMessage = { storedAt: number; sentAt: number | undefined; expiresAtMs: number | undefined };

/** What is known of a message, and for each of its recipients: what its states and its trace are derived from. */
export async function readMessageFacts(
  { conversation, position, sender, group }: MessagePlace,
  { dynamo, inbox, receipts, partitionFor }: FactStores,
): Promise<{ stored: StoredMessage | undefined; recipients: { user: string; facts: RecipientFacts }[] }> {
  const others = membersAt(conversation, group, position).filter((user) => user !== sender);
  const users = others.length > 0 ? others : [sender];
  const partition = partitionFor(conversation);
  const [known, stored, replies] = await Promise.all([
    receipts.read(conversation),
    readStored(dynamo, conversation, position),
    inbox.run(users.map((user) => inbox.messageFactsCall(user, conversation, position, partition))),
  ]);
  const recipients = users.map((user, i) => {
    const { inboxed, sessions, pushedAtMs, deadLettered } = parseMessageFacts(replies[i]!);
    const receipt = known.get(user);
    const facts: RecipientFacts = {
      storedAtMs: stored?.storedAt,
      inboxed,
      pushedAtMs,
      connected: sessions > 0,
      delivered: (receipt?.delivered ?? 0) >= position,
      deliveredAtMs: reachedAt(receipt, 'delivered', position),
      read: (receipt?.read ?? 0) >= position,
      readAtMs: reachedAt(receipt, 'read', position),
      expiresAtMs: stored?.expiresAtMs,
      deadLettered,
      rejected: undefined,
    };
    return { user, facts };
  });
  return { stored, recipients };
}

/** When a position was reached: the oldest kept point that is not before it. */
function reachedAt(
  receipt: UserReceipts | undefined,
  kind: 'delivered' | 'read',
  position: number,
): number | undefined {
  const points: Reached[] = receipt?.reached[kind] ?? [];
  return points.filter((point) => point.position >= position).at(-1)?.atMs;
}

async function readStored(
  dynamo: DynamoDBClient,
  conversation: string,
  position: number,
): Promise<StoredMessage | undefined> {
  const { Item } = await dynamo.send(
    new GetItemCommand({
      TableName: 'messages',
      Key: { conversation: { S: conversation }, position: { N: String(position) } },
      ConsistentRead: true,
    }),
  );
  if (!Item) return undefined;
  const {
    storedAt = 0,
    sentAt,
    ttlSeconds,
  } = JSON.parse(Item.entry?.S ?? '{}') as {
    storedAt?: number;
    sentAt?: number;
    ttlSeconds?: number;
  };
  return { storedAt, sentAt, expiresAtMs: ttlSeconds === undefined ? undefined : (sentAt ?? 0) + ttlSeconds * 1000 };
}
