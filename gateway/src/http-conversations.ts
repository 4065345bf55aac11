import { randomBytes, randomUUID } from 'node:crypto';
import { type DynamoDBClient, GetItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import type { CreateCommand, MembersCommand } from '@restante/shared/contract/events';
import {
  type AnswerOf,
  MAX_CONVERSATIONS_PAGE,
  MAX_HISTORY_PAGE,
  MAX_MEMBERS,
  UNREAD_CAP,
} from '@restante/shared/contract/http-calls';
import { GROUP_PATTERN, parseConversation } from '@restante/shared/contract/ids';
import { type Group, isMemberAt, membersAt } from '@restante/shared/delivery/membership';
import { queryAll, readGroup } from '@restante/shared/inbox/conversations-dynamo';
import type { ReceiptStore } from '@restante/shared/inbox/receipts-redis';
import type { Identity } from './auth.ts';
import type { PendingCalls } from './calls.ts';
import { type Call, Problem } from './http.ts';
import type { SendPath } from './send.ts';

/** Items looked at to count them: own messages among them are not unread. */
const UNREAD_SCANNED = 300;
const NOW = Number.MAX_SAFE_INTEGER;

export type ConversationsApi = {
  dynamo: DynamoDBClient;
  sendPath: SendPath;
  calls: PendingCalls;
  receipts: ReceiptStore;
  maxConversations: number;
};

/** `POST /v1/conversations`: makes a group; answered once the log has given it its place. */
export async function postConversation(
  { identity, body }: Call<'postConversation'>,
  api: ConversationsApi,
): Promise<AnswerOf<'postConversation'>> {
  const { user } = identity;
  const { title } = body;
  const members = [...new Set([user, ...body.members])];
  if (members.length > MAX_MEMBERS) throw new Problem('bad_field', `members: a group has at most ${MAX_MEMBERS}`);
  if ((await countConversations(api.dynamo, user, api.maxConversations)) >= api.maxConversations)
    throw new Problem('rate_limited', `${user} is in ${api.maxConversations} conversations: leave one first`);
  const given = body.id ?? randomBytes(9).toString('base64url');
  const conversation = given.startsWith('grp:') ? given : `grp:${given}`;
  if (await readGroup(api.dynamo, conversation)) throw new Problem('duplicate_conflict', `${conversation} is taken`);
  const command: CreateCommand = {
    t: 'create',
    from: user,
    id: randomUUID(),
    conversation,
    members: members.slice(1),
    at: Date.now(),
    ...(title === undefined ? {} : { title }),
  };
  const { position } = await api.calls.answered(command, (addressed) => accept(api.sendPath, user, addressed));
  return {
    id: conversation,
    ...(title === undefined ? {} : { title }),
    members: members.map((member) => ({
      user: member,
      role: member === user ? 'owner' : 'member',
      joinedPosition: position,
    })),
  };
}

/** `GET /v1/conversations/{c}`. */
export async function getConversation(
  call: Call<'getConversation'>,
  { dynamo }: ConversationsApi,
): Promise<AnswerOf<'getConversation'>> {
  const { conversation, group } = await asMember(call, dynamo);
  const parts = parseConversation(conversation);
  if (parts?.kind === 'dm') {
    const members = [...new Set(parts.members)].map((user) => ({ user, role: 'member' as const, joinedPosition: 0 }));
    return { id: conversation, members };
  }
  const members = membersAt(conversation, group, NOW).map((user) => {
    const { role, intervals } = group!.members.get(user)!;
    return { user, role, joinedPosition: intervals.at(-1)!.joined };
  });
  return { id: conversation, ...(group!.title === undefined ? {} : { title: group!.title }), members };
}

/** `POST /v1/conversations/{c}/members`: takes its place among the messages; what can be refused before is refused here. */
export async function postMembers(
  call: Call<'postMembers'>,
  { dynamo, sendPath }: ConversationsApi,
): Promise<AnswerOf<'postMembers'>> {
  const { conversation, group } = await asMember(call, dynamo);
  if (!group) throw new Problem('bad_field', 'conversation: a direct one has the members it has');
  const { user } = call.identity;
  const { add = [], remove = [] } = call.body;
  const onlySelf = add.length === 0 && remove.every((one) => one === user);
  if (!onlySelf && group.members.get(user)?.role !== 'owner')
    throw new Problem('not_yours', 'only an owner changes the members');
  if (new Set([...membersAt(conversation, group, NOW), ...add]).size > MAX_MEMBERS) {
    throw new Problem('bad_field', `add: a group has at most ${MAX_MEMBERS} members`);
  }
  const command: MembersCommand = {
    t: 'members',
    from: user,
    id: randomUUID(),
    conversation,
    add,
    remove,
    at: Date.now(),
  };
  await accept(sendPath, user, command);
  return { conversation, status: 'accepted' };
}

/** `GET /v1/conversations/{c}/messages`: the history, as far as the caller was a member. */
export async function getMessages(
  { identity, params: { conversation }, query }: Call<'getMessages'>,
  { dynamo }: ConversationsApi,
): Promise<AnswerOf<'getMessages'>> {
  const group = conversation.startsWith('grp:') ? await readGroup(dynamo, conversation) : undefined;
  requireEver(identity, conversation, group);
  const limit = Math.min(query.limit, MAX_HISTORY_PAGE);
  const { before, after } = query;
  // Forward from `after` where only that is given, else back from `before`, or from the newest.
  const forward = after !== undefined && before === undefined;
  const found: { position: number; text: string }[] = [];
  let from: QueryCommand['input']['ExclusiveStartKey'];
  do {
    const page = await dynamo.send(
      new QueryCommand({
        TableName: 'messages',
        KeyConditionExpression: 'conversation = :c AND #p BETWEEN :low AND :high',
        ExpressionAttributeNames: { '#p': 'position' },
        ExpressionAttributeValues: {
          ':c': { S: conversation },
          ':low': { N: String((after ?? -1) + 1) },
          ':high': { N: String(Math.max((after ?? -1) + 1, (before ?? NOW) - 1)) },
        },
        ConsistentRead: true,
        ScanIndexForward: forward,
        Limit: limit + 1,
        ExclusiveStartKey: from,
      }),
    );
    for (const item of page.Items ?? []) {
      const position = Number(item.position?.N);
      const text = item.entry?.S ?? '';
      const inside = (before === undefined || position < before) && (after === undefined || position > after);
      if (inside && text.startsWith('{"t":"message"') && isMemberAt(conversation, group, identity.user, position))
        found.push({ position, text });
    }
    from = page.LastEvaluatedKey;
  } while (from && found.length <= limit);
  const more = found.length > limit;
  const page = found.slice(0, limit);
  if (!forward) page.reverse();
  return { messages: await withTombstones(dynamo, conversation, page), more };
}

/** `GET /v1/conversations`: by id; `after` is the last id of the page before. */
export async function getConversations(
  { identity, query }: Call<'getConversations'>,
  api: ConversationsApi,
): Promise<AnswerOf<'getConversations'>> {
  const { user } = identity;
  const limit = Math.min(query.limit, MAX_CONVERSATIONS_PAGE);
  const { after } = query;
  const { Items, LastEvaluatedKey } = await api.dynamo.send(
    new QueryCommand({
      TableName: 'memberships',
      KeyConditionExpression: after === undefined ? '#u = :u' : '#u = :u AND conversation > :after',
      FilterExpression: 'attribute_not_exists(#l)',
      ExpressionAttributeNames: { '#u': 'user', '#l': 'left' },
      ExpressionAttributeValues: { ':u': { S: user }, ...(after === undefined ? {} : { ':after': { S: after } }) },
      ConsistentRead: true,
      Limit: limit,
    }),
  );
  const conversations = await Promise.all((Items ?? []).map((item) => summary(user, item.conversation?.S ?? '', api)));
  const last = LastEvaluatedKey?.conversation?.S;
  return { conversations, ...(last === undefined ? {} : { next: last }) };
}

/** `GET /v1/conversations/{c}/receipts`. */
export async function getReceipts(
  call: Call<'getReceipts'>,
  { dynamo, receipts }: ConversationsApi,
): Promise<AnswerOf<'getReceipts'>> {
  const { conversation, group } = await asMember(call, dynamo);
  const known = await receipts.read(conversation);
  const list = membersAt(conversation, group, NOW).map((user) => ({
    user,
    delivered: known.get(user)?.delivered ?? 0,
    read: known.get(user)?.read ?? 0,
  }));
  return { receipts: list };
}

async function summary(user: string, conversation: string, { dynamo, receipts }: ConversationsApi) {
  const group = conversation.startsWith('grp:') ? await readGroup(dynamo, conversation) : undefined;
  const [newest, known] = await Promise.all([
    dynamo.send(
      new QueryCommand({
        TableName: 'messages',
        KeyConditionExpression: 'conversation = :c',
        ExpressionAttributeValues: { ':c': { S: conversation } },
        ConsistentRead: true,
        ScanIndexForward: false,
        Limit: 1,
      }),
    ),
    receipts.read(conversation),
  ]);
  const last = newest.Items?.[0];
  const frame = JSON.parse(last?.entry?.S ?? '{}') as { storedAt?: number; at?: number };
  const read = known.get(user)?.read ?? 0;
  const joined = group?.members.get(user)?.intervals.at(-1);
  return {
    id: conversation,
    ...(group?.title === undefined ? {} : { title: group.title }),
    lastPosition: Number(last?.position?.N ?? 0),
    read,
    unread: await countUnread(user, conversation, Math.max(read, (joined?.joined ?? 0) - 1), dynamo),
    updatedAt: frame.storedAt ?? frame.at ?? group?.createdAt ?? 0,
  };
}

/** Messages of others beyond what was read, counted up to UNREAD_CAP. */
async function countUnread(user: string, conversation: string, read: number, dynamo: DynamoDBClient): Promise<number> {
  const { Count } = await dynamo.send(
    new QueryCommand({
      TableName: 'messages',
      KeyConditionExpression: 'conversation = :c AND #p > :read',
      ExpressionAttributeNames: { '#p': 'position', '#f': 'from', '#e': 'entry' },
      ExpressionAttributeValues: {
        ':c': { S: conversation },
        ':read': { N: String(read) },
        ':me': { S: user },
        ':m': { S: '{"t":"message"' },
      },
      FilterExpression: '#f <> :me AND begins_with(#e, :m)',
      ConsistentRead: true,
      Limit: UNREAD_SCANNED,
      Select: 'COUNT',
    }),
  );
  return Math.min(UNREAD_CAP, Count ?? 0);
}

/** The conversations that a user is in now, counted no further than to `most`. */
async function countConversations(dynamo: DynamoDBClient, user: string, most: number): Promise<number> {
  let count = 0;
  let from: QueryCommand['input']['ExclusiveStartKey'];
  do {
    const { Count, LastEvaluatedKey } = await dynamo.send(
      new QueryCommand({
        TableName: 'memberships',
        KeyConditionExpression: '#u = :u',
        FilterExpression: 'attribute_not_exists(#l)',
        ExpressionAttributeNames: { '#u': 'user', '#l': 'left' },
        ExpressionAttributeValues: { ':u': { S: user } },
        Select: 'COUNT',
        ConsistentRead: true,
        ExclusiveStartKey: from,
      }),
    );
    count += Count ?? 0;
    from = LastEvaluatedKey;
  } while (from && count < most);
  return count;
}

/** Resolves once the log has the command. @throws Problem with what refused it */
async function accept(sendPath: SendPath, user: string, command: CreateCommand | MembersCommand): Promise<void> {
  const result = await sendPath.command(user, command, command.at);
  if ('code' in result) throw new Problem(result.code, result.message, result.retryAfterMs);
}

/** The conversation of a call whose caller is a member of it now. @throws Problem no_such_conversation, not_a_member */
async function asMember(
  { identity: { user }, params: { conversation } }: { identity: Identity; params: { conversation: string } },
  dynamo: DynamoDBClient,
): Promise<{ conversation: string; group: Group | undefined }> {
  const group = GROUP_PATTERN.test(conversation) ? await readGroup(dynamo, conversation) : undefined;
  if (GROUP_PATTERN.test(conversation) && !group)
    throw new Problem('no_such_conversation', `there is no ${conversation}`);
  if (!isMemberAt(conversation, group, user, NOW))
    throw new Problem('not_a_member', `${user} is not a member of ${conversation}`);
  if (!group && !(await directExists(dynamo, user, conversation))) {
    throw new Problem('no_such_conversation', `nothing was said in ${conversation} yet`);
  }
  return { conversation, group };
}

/** Whoever was a member once may read what was said then. */
function requireEver({ user }: Identity, conversation: string, group: Group | undefined): void {
  if (conversation.startsWith('grp:') && !group)
    throw new Problem('no_such_conversation', `there is no ${conversation}`);
  const ever = group ? group.members.has(user) : isMemberAt(conversation, undefined, user, NOW);
  if (!ever) throw new Problem('not_a_member', `${user} is not a member of ${conversation}`);
}

async function directExists(dynamo: DynamoDBClient, user: string, conversation: string): Promise<boolean> {
  const { Item } = await dynamo.send(
    new GetItemCommand({
      TableName: 'memberships',
      Key: { user: { S: user }, conversation: { S: conversation } },
      ConsistentRead: true,
    }),
  );
  return Item !== undefined;
}

/** Deleted messages are shown as their tombstones. */
async function withTombstones(
  dynamo: DynamoDBClient,
  conversation: string,
  page: readonly { position: number; text: string }[],
): Promise<AnswerOf<'getMessages'>['messages']> {
  if (page.length === 0) return [];
  const items = await queryAll(dynamo, {
    TableName: 'tombstones',
    KeyConditionExpression: 'conversation = :c AND #p BETWEEN :low AND :high',
    ExpressionAttributeNames: { '#p': 'position' },
    ExpressionAttributeValues: {
      ':c': { S: conversation },
      ':low': { N: String(page[0]!.position) },
      ':high': { N: String(page.at(-1)!.position) },
    },
  });
  const deleted = new Map(items.map((item) => [Number(item.position?.N), item]));
  return page.map(({ position, text }) => {
    const stone = deleted.get(position);
    if (!stone) return JSON.parse(text) as AnswerOf<'getMessages'>['messages'][number];
    return { t: 'deleted', conversation, position, by: stone.by?.S ?? '', at: Number(stone.at?.N) };
  });
}
