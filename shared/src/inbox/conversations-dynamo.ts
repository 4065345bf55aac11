import { type DynamoDBClient, QueryCommand, type QueryCommandInput } from '@aws-sdk/client-dynamodb';
import type { Group, Interval, Role } from '../delivery/membership.ts';
import type { Item } from '../runtime/dynamo.ts';

/** Rows of `conversations`: `meta`, and one for each interval of each member, `member#<user>#<joined>`. */
const META = 'meta';

/** Reads a group as far as it is written. @returns undefined where there is none of that name */
export async function readGroup(client: DynamoDBClient, conversation: string): Promise<Group | undefined> {
  let group: Group | undefined;
  const rows: { user: string; role: Role; interval: Interval }[] = [];
  for (const item of await queryAll(client, {
    TableName: 'conversations',
    KeyConditionExpression: 'conversation = :c',
    ExpressionAttributeValues: { ':c': { S: conversation } },
  })) {
    if (item.item?.S === META) {
      group = { conversation, title: item.title?.S, createdAt: Number(item.createdAt?.N ?? 0), members: new Map() };
      continue;
    }
    const left = item.left?.N;
    rows.push({
      user: item.user?.S ?? '',
      role: item.role?.S === 'owner' ? 'owner' : 'member',
      interval: { joined: Number(item.joined?.N), ...(left === undefined ? {} : { left: Number(left) }) },
    });
  }
  if (!group) return undefined;
  for (const { user, role, interval } of rows.sort((a, b) => a.interval.joined - b.interval.joined)) {
    const member = group.members.get(user);
    if (member) member.intervals.push(interval);
    else group.members.set(user, { role, intervals: [interval] });
  }
  return group;
}

export function metaItem(group: Group): Item {
  return {
    conversation: { S: group.conversation },
    item: { S: META },
    createdAt: { N: String(group.createdAt) },
    ...(group.title === undefined ? {} : { title: { S: group.title } }),
  };
}

/** The row of an interval: written again with the same key when it ends. */
export function memberItem(conversation: string, user: string, role: Role, interval: Interval): Item {
  return {
    conversation: { S: conversation },
    item: { S: `member#${user}#${String(interval.joined).padStart(16, '0')}` },
    user: { S: user },
    role: { S: role },
    joined: { N: String(interval.joined) },
    ...(interval.left === undefined ? {} : { left: { N: String(interval.left) } }),
  };
}

/** The user's row of a conversation; `left` where they are a member no more. */
export function membershipItem(user: string, conversation: string, interval?: Interval): Item {
  return {
    user: { S: user },
    conversation: { S: conversation },
    ...(interval ? { joined: { N: String(interval.joined) } } : {}),
    ...(interval?.left === undefined ? {} : { left: { N: String(interval.left) } }),
  };
}

/** All conversations that a user is or was in: what a rebuild reads. */
export async function readMemberships(
  client: DynamoDBClient,
  user: string,
): Promise<{ conversation: string; left: boolean }[]> {
  const items = await queryAll(client, {
    TableName: 'memberships',
    KeyConditionExpression: '#u = :u',
    ExpressionAttributeNames: { '#u': 'user' },
    ExpressionAttributeValues: { ':u': { S: user } },
  });
  return items.map((item) => ({ conversation: item.conversation?.S ?? '', left: item.left !== undefined }));
}

/** Every page of a query, strongly consistent. */
export async function queryAll(client: DynamoDBClient, input: QueryCommandInput): Promise<Item[]> {
  const items: Item[] = [];
  let from: QueryCommandInput['ExclusiveStartKey'];
  do {
    const page = await client.send(new QueryCommand({ ...input, ConsistentRead: true, ExclusiveStartKey: from }));
    items.push(...(page.Items ?? []));
    from = page.LastEvaluatedKey;
  } while (from);
  return items;
}
