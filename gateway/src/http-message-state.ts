import { type DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import type { AnswerOf } from '@restante/shared/contract/http-calls';
import { type Group, isMemberAt, membersAt } from '@restante/shared/delivery/membership';
import { deriveState, overallState } from '@restante/shared/delivery/message-state';
import { readGroup } from '@restante/shared/inbox/conversations-dynamo';
import { claimedBy } from '@restante/shared/inbox/dedupe-redis';
import { type Inbox, parseMessageFacts } from '@restante/shared/inbox/inbox-redis';
import type { Reached, UserReceipts } from '@restante/shared/inbox/receipts-redis';
import { type Call, Problem } from './http.ts';
import type { ConversationsApi } from './http-conversations.ts';

export type StateApi = ConversationsApi & { inbox: Inbox; partitionFor: (conversation: string) => number };

/** `GET /v1/messages/{id}?from=<sender>`: where a message is, for each of its recipients. Known for as long as its id is (7 days). */
export async function getMessageState(
  { identity, params: { id }, query }: Call<'getMessageState'>,
  api: StateApi,
): Promise<AnswerOf<'getMessageState'>> {
  const sender = query.from ?? identity.user;
  const missing = new Problem('no_such_message', `there is no message ${id} of ${sender}`);
  const claimed = await claimedBy(api.inbox.store, sender, id);
  if (!claimed) throw missing;
  const { conversation, position } = claimed;
  const group = conversation.startsWith('grp:') ? await readGroup(api.dynamo, conversation) : undefined;
  // Who is not in the conversation is told no more than that there is nothing for them.
  if (!isMemberAt(conversation, group, identity.user, position)) throw missing;
  const recipients = await recipientStates(conversation, position, sender, group, api);
  const { state } = overallState(recipients);
  return { id, conversation, position, state, recipients };
}

async function recipientStates(
  conversation: string,
  position: number,
  sender: string,
  group: Group | undefined,
  api: StateApi,
) {
  const { inbox, receipts } = api;
  const others = membersAt(conversation, group, position).filter((user) => user !== sender);
  const users = others.length > 0 ? others : [sender];
  const partition = api.partitionFor(conversation);
  const [known, stored, facts] = await Promise.all([
    receipts.read(conversation),
    readStored(api.dynamo, conversation, position),
    inbox.run(users.map((user) => inbox.messageFactsCall(user, conversation, position, partition))),
  ]);
  const nowMs = Date.now();
  return users.map((user, i) => {
    const { inboxed, sessions, pushedAtMs, deadLettered } = parseMessageFacts(facts[i]!);
    const receipt = known.get(user);
    const derived = deriveState(
      {
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
      },
      nowMs,
    );
    return { user, ...derived };
  });
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

async function readStored(dynamo: DynamoDBClient, conversation: string, position: number) {
  const { Item } = await dynamo.send(
    new GetItemCommand({
      TableName: 'messages',
      Key: { conversation: { S: conversation }, position: { N: String(position) } },
      ConsistentRead: true,
    }),
  );
  if (!Item) return undefined;
  const frame = JSON.parse(Item.entry?.S ?? '{}') as { storedAt?: number; sentAt?: number; ttlSeconds?: number };
  const expiresAtMs = frame.ttlSeconds === undefined ? undefined : (frame.sentAt ?? 0) + frame.ttlSeconds * 1000;
  return { storedAt: frame.storedAt ?? 0, expiresAtMs };
}
