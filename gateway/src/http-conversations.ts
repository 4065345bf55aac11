import { randomBytes, randomUUID } from 'node:crypto';
import { type DynamoDBClient, GetItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import { describeIssues } from '@restante/shared/contract/client-frames';
import type { CreateCommand, MembersCommand } from '@restante/shared/contract/events';
import { conversationSchema, GROUP_PATTERN, parseConversation, userSchema } from '@restante/shared/contract/ids';
import { type Group, isMemberAt, membersAt } from '@restante/shared/delivery/membership';
import { queryAll, readGroup } from '@restante/shared/inbox/conversations-dynamo';
import type { ReceiptStore } from '@restante/shared/inbox/receipts-redis';
import { z } from 'zod';
import type { PendingCalls } from './calls.ts';
import { type Answer, type Call, Problem } from './http.ts';
import { integer } from './http-inbox.ts';
import type { SendPath } from './send.ts';

export const MAX_MEMBERS = 1_000;
const MAX_CONVERSATIONS = 10_000;
const DEFAULT_PAGE = 50;
const MAX_PAGE = 200;
const DEFAULT_LIST = 20;
const MAX_LIST = 100;
const UNREAD_CAP = 99;
/** Items looked at to count them: own messages among them are not unread. */
const UNREAD_SCANNED = 300;
const NOW = Number.MAX_SAFE_INTEGER;

export type ConversationsApi = {
  dynamo: DynamoDBClient;
  sendPath: SendPath;
  calls: PendingCalls;
  receipts: ReceiptStore;
};

const createSchema = z.object({
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$|^grp:[A-Za-z0-9_-]{1,64}$/, 'must match grp:<id>, or <id>, of [A-Za-z0-9_-]{1,64}')
    .optional(),
  members: z.array(userSchema).max(MAX_MEMBERS),
  title: z.string().max(200).optional(),
});

/** `POST /v1/conversations`: makes a group; answered once the log has given it its place. */
export async function postConversation({ identity, body }: Call, api: ConversationsApi): Promise<Answer> {
  const parsed = createSchema.safeParse(body);
  if (!parsed.success) throw new Problem('bad_field', describeIssues(parsed.error));
  const { user } = identity;
  const { title } = parsed.data;
  const members = [...new Set([user, ...parsed.data.members])];
  if (members.length > MAX_MEMBERS) throw new Problem('bad_field', `members: a group has at most ${MAX_MEMBERS}`);
  if ((await countConversations(api.dynamo, user)) >= MAX_CONVERSATIONS) {
    throw new Problem('rate_limited', `a user is in at most ${MAX_CONVERSATIONS} conversations`);
  }
  const given = parsed.data.id ?? randomBytes(9).toString('base64url');
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
    status: 201,
    body: {
      id: conversation,
      ...(title === undefined ? {} : { title }),
      members: members.map((member) => ({
        user: member,
        role: member === user ? 'owner' : 'member',
        joinedPosition: position,
      })),
    },
  };
}

/** `GET /v1/conversations/{c}`. */
export async function getConversation(call: Call, { dynamo }: ConversationsApi): Promise<Answer> {
  const { conversation, group } = await asMember(call, dynamo);
  const parts = parseConversation(conversation);
  if (parts?.kind === 'dm') {
    const members = [...new Set(parts.members)].map((user) => ({ user, role: 'member', joinedPosition: 0 }));
    return { status: 200, body: { id: conversation, members } };
  }
  const members = membersAt(conversation, group, NOW).map((user) => {
    const { role, intervals } = group!.members.get(user)!;
    return { user, role, joinedPosition: intervals.at(-1)!.joined };
  });
  return {
    status: 200,
    body: { id: conversation, ...(group!.title === undefined ? {} : { title: group!.title }), members },
  };
}

const changeSchema = z
  .object({
    add: z.array(userSchema).max(MAX_MEMBERS).optional(),
    remove: z.array(userSchema).max(MAX_MEMBERS).optional(),
  })
  .refine(({ add, remove }) => (add?.length ?? 0) + (remove?.length ?? 0) > 0, {
    message: 'give add or remove',
    path: ['add'],
  });

/** `POST /v1/conversations/{c}/members`: takes its place among the messages; what can be refused before is refused here. */
export async function postMembers(call: Call, { dynamo, sendPath }: ConversationsApi): Promise<Answer> {
  const parsed = changeSchema.safeParse(call.body);
  if (!parsed.success) throw new Problem('bad_field', describeIssues(parsed.error));
  const { conversation, group } = await asMember(call, dynamo);
  if (!group) throw new Problem('bad_field', 'conversation: a direct one has the members it has');
  const { user } = call.identity;
  const { add = [], remove = [] } = parsed.data;
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
  return { status: 202, body: { conversation, status: 'accepted' } };
}

/** `GET /v1/conversations/{c}/messages`: the history, as far as the caller was a member. */
export async function getMessages(call: Call, { dynamo }: ConversationsApi): Promise<Answer> {
  const conversation = conversationParam(call);
  const group = conversation.startsWith('grp:') ? await readGroup(dynamo, conversation) : undefined;
  requireEver(call, conversation, group);
  const limit = integer(call.query.get('limit'), 'limit', DEFAULT_PAGE, MAX_PAGE);
  const before = bound(call.query.get('before'), 'before');
  const after = bound(call.query.get('after'), 'after');
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
      if (inside && text.startsWith('{"t":"message"') && isMemberAt(conversation, group, call.identity.user, position))
        found.push({ position, text });
    }
    from = page.LastEvaluatedKey;
  } while (from && found.length <= limit);
  const more = found.length > limit;
  const page = found.slice(0, limit);
  if (!forward) page.reverse();
  return { status: 200, body: { messages: await withTombstones(dynamo, conversation, page), more } };
}

/** `GET /v1/conversations`: by id; `after` is the last id of the page before. */
export async function getConversations({ identity, query }: Call, api: ConversationsApi): Promise<Answer> {
  const { user } = identity;
  const limit = integer(query.get('limit'), 'limit', DEFAULT_LIST, MAX_LIST);
  const after = query.get('after');
  if (after !== null && !conversationSchema.safeParse(after).success)
    throw new Problem('bad_field', 'after: must be a conversation id');
  const { Items, LastEvaluatedKey } = await api.dynamo.send(
    new QueryCommand({
      TableName: 'memberships',
      KeyConditionExpression: after === null ? '#u = :u' : '#u = :u AND conversation > :after',
      FilterExpression: 'attribute_not_exists(#l)',
      ExpressionAttributeNames: { '#u': 'user', '#l': 'left' },
      ExpressionAttributeValues: { ':u': { S: user }, ...(after === null ? {} : { ':after': { S: after } }) },
      ConsistentRead: true,
      Limit: limit,
    }),
  );
  const conversations = await Promise.all((Items ?? []).map((item) => summary(user, item.conversation?.S ?? '', api)));
  const last = LastEvaluatedKey?.conversation?.S;
  return { status: 200, body: { conversations, ...(last === undefined ? {} : { next: last }) } };
}

/** `GET /v1/conversations/{c}/receipts`. */
export async function getReceipts(call: Call, { dynamo, receipts }: ConversationsApi): Promise<Answer> {
  const { conversation, group } = await asMember(call, dynamo);
  const known = await receipts.read(conversation);
  const list = membersAt(conversation, group, NOW).map((user) => ({
    user,
    delivered: known.get(user)?.delivered ?? 0,
    read: known.get(user)?.read ?? 0,
  }));
  return { status: 200, body: { receipts: list } };
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

async function countConversations(dynamo: DynamoDBClient, user: string): Promise<number> {
  const { Count } = await dynamo.send(
    new QueryCommand({
      TableName: 'memberships',
      KeyConditionExpression: '#u = :u',
      ExpressionAttributeNames: { '#u': 'user' },
      ExpressionAttributeValues: { ':u': { S: user } },
      Select: 'COUNT',
    }),
  );
  return Count ?? 0;
}

/** Resolves once the log has the command. @throws Problem with what refused it */
export async function accept(sendPath: SendPath, user: string, command: CreateCommand | MembersCommand): Promise<void> {
  const result = await sendPath.command(user, command, command.at);
  if ('code' in result) throw new Problem(result.code, result.message, result.retryAfterMs);
}

export function conversationParam({ params }: Call): string {
  const parsed = conversationSchema.safeParse(params[0]);
  if (!parsed.success) throw new Problem('bad_field', 'conversation: must be dm:<userA>:<userB>, sorted, or grp:<id>');
  return parsed.data;
}

/** The conversation of a call whose caller is a member of it now. @throws Problem no_such_conversation, not_a_member */
async function asMember(
  call: Call,
  dynamo: DynamoDBClient,
): Promise<{ conversation: string; group: Group | undefined }> {
  const conversation = conversationParam(call);
  const { user } = call.identity;
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
function requireEver({ identity }: Call, conversation: string, group: Group | undefined): void {
  if (conversation.startsWith('grp:') && !group)
    throw new Problem('no_such_conversation', `there is no ${conversation}`);
  const ever = group ? group.members.has(identity.user) : isMemberAt(conversation, undefined, identity.user, NOW);
  if (!ever) throw new Problem('not_a_member', `${identity.user} is not a member of ${conversation}`);
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
): Promise<unknown[]> {
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
    if (!stone) return JSON.parse(text) as unknown;
    return { t: 'deleted', conversation, position, by: stone.by?.S, at: Number(stone.at?.N) };
  });
}

function bound(text: string | null, name: string): number | undefined {
  if (text === null) return undefined;
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw new Problem('bad_field', `${name}: must be a position`);
  return value;
}
