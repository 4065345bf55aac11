import {
  type AttributeValue,
  DeleteItemCommand,
  type DynamoDBClient,
  QueryCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { Item } from '../runtime/dynamo.ts';
import type { DeviceStart } from './inbox-redis.ts';

/**
 * A device as it was made: kept durable before its first welcome, so that a rebuild knows where it starts.
 * `first`: the user's first device, which starts at the first entry ever kept. Others start, partition by partition, after what their user's
 * inbox had decided on when it made them; where there was no whole inbox to ask, where the log ended. No clock is asked, for it may be set
 * wrong by more than any slack (decision 11).
 */
export type DeviceRow = {
  device: string;
  bornAt: number;
  first: boolean;
  start: ReadonlyMap<number, number>;
  seenAt: number;
  /** Where its pushes go, undefined where the app has registered none. `endpoint` is the provider's own name for it. */
  push: { platform: 'apns' | 'fcm'; token: string; endpoint: string | undefined } | undefined;
};

const TABLE = 'devices';

/** All devices of a user; at most a few pages of DynamoDB hold them, their number is bounded (DEVICES_PER_USER). */
export async function readDevices(client: DynamoDBClient, user: string): Promise<DeviceRow[]> {
  const { Items } = await client.send(
    new QueryCommand({
      TableName: TABLE,
      KeyConditionExpression: '#u = :u',
      ExpressionAttributeNames: { '#u': 'user' },
      ExpressionAttributeValues: { ':u': { S: user } },
      ConsistentRead: true,
    }),
  );
  return (Items ?? []).map((item) => ({
    device: item.device?.S ?? '',
    bornAt: Number(item.bornAt?.N ?? 0),
    first: item.first?.BOOL ?? false,
    start: new Map(Object.entries(item.start?.M ?? {}).map(([partition, { N }]) => [Number(partition), Number(N)])),
    seenAt: Number(item.seenAt?.N ?? 0),
    push: pushOf(item),
  }));
}

function pushOf(item: Item): DeviceRow['push'] {
  const token = item.pushToken?.S;
  if (token === undefined) return undefined;
  return { platform: item.pushPlatform?.S === 'apns' ? 'apns' : 'fcm', token, endpoint: item.pushEndpoint?.S };
}

/** Registers where a device's pushes go; a changed token forgets the provider's endpoint, which was for the old one. */
export async function setPush(
  client: DynamoDBClient,
  user: string,
  device: string,
  push: { platform: 'apns' | 'fcm'; token: string },
): Promise<void> {
  await client.send(
    new UpdateItemCommand({
      TableName: TABLE,
      Key: { user: { S: user }, device: { S: device } },
      UpdateExpression: 'SET pushPlatform = :p, pushToken = :t REMOVE pushEndpoint',
      ConditionExpression: 'attribute_exists(#d)',
      ExpressionAttributeNames: { '#d': 'device' },
      ExpressionAttributeValues: { ':p': { S: push.platform }, ':t': { S: push.token } },
    }),
  );
}

/** Remembers the provider's endpoint of a token, unless the token has changed meanwhile. */
export async function saveEndpoint(
  client: DynamoDBClient,
  user: string,
  device: string,
  token: string,
  endpoint: string,
): Promise<void> {
  await updateToken(client, user, device, token, 'SET pushEndpoint = :e', { ':e': { S: endpoint } });
}

/** Forgets a dead token, unless the app has registered another meanwhile. */
export async function dropPush(client: DynamoDBClient, user: string, device: string, token: string): Promise<void> {
  await updateToken(client, user, device, token, 'REMOVE pushPlatform, pushToken, pushEndpoint', {});
}

async function updateToken(
  client: DynamoDBClient,
  user: string,
  device: string,
  token: string,
  update: string,
  values: Item,
): Promise<void> {
  try {
    await client.send(
      new UpdateItemCommand({
        TableName: TABLE,
        Key: { user: { S: user }, device: { S: device } },
        UpdateExpression: update,
        ConditionExpression: 'pushToken = :t',
        ExpressionAttributeValues: { ':t': { S: token }, ...values },
      }),
    );
  } catch (error) {
    if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
  }
}

/** The position that the next record of each partition of the log will get. */
export type LogEnds = () => Promise<ReadonlyMap<number, number>>;

type Start = Pick<DeviceRow, 'first' | 'start'>;

/** As the scripts write it: by number of partition. */
export function startText({ first, start }: Start): DeviceStart {
  if (first) return 'first';
  return `after ${[...start]
    .sort(([a], [b]) => a - b)
    .map(([partition, at]) => `${partition}:${at}`)
    .join(',')}`;
}

function parseStart(text: DeviceStart): Start {
  const start = new Map([...text.matchAll(/(\d+):(\d+)/g)].map(([, partition, at]) => [Number(partition), Number(at)]));
  return { first: text === 'first', start };
}

/**
 * Makes the row of a device that has none yet. Two makers at once leave one row: the first. A row of another start than a whole inbox has
 * noted was never served (agreedDevice, in the scripts' prelude): it is moved there.
 * @param noted where the inbox says that it starts; '' where that is lost or partial: the log's ends are asked then
 * @returns where the row says that it starts, which is to be told to the inbox
 */
export async function ensureDevice(
  client: DynamoDBClient,
  user: string,
  device: string,
  now: number,
  noted: DeviceStart | '',
  logEnds: LogEnds,
): Promise<DeviceStart> {
  // An inbox that is whole has mostly made it just now: there is no row then, and none need be read.
  if (noted !== '' && (await putStart(client, user, device, now, parseStart(noted), undefined))) return noted;
  const rows = await readDevices(client, user);
  const known = rows.find((row) => row.device === device);
  if (known && (noted === '' || startText(known) === noted)) {
    // Its inbox may not be able to note it now, and a rebuild may be over before anybody handles what comes next.
    await touchDevice(client, user, device, now);
    return startText(known);
  }
  const made = noted === '' ? await startByLog(rows.length === 0, logEnds) : parseStart(noted);
  if (await putStart(client, user, device, now, made, known)) return startText(made);
  return ensureDevice(client, user, device, now, noted, logEnds);
}

/**
 * Makes the rows of devices that a user's rebuild has found to have none: the user's first starts at the first entry ever kept, others at the
 * cut, where the log ended.
 * @param rows those that the user has
 * @returns those that were made, or undefined where somebody else has just made one: read the rows again
 */
export async function makeDevices(
  client: DynamoDBClient,
  user: string,
  devices: readonly string[],
  rows: readonly DeviceRow[],
  cut: ReadonlyMap<number, number>,
  now: number,
): Promise<DeviceRow[] | undefined> {
  const made: DeviceRow[] = [];
  for (const device of devices) {
    const first = rows.length + made.length === 0;
    const start = first ? new Map<number, number>() : cut;
    if (!(await putStart(client, user, device, now, { first, start }, undefined))) return undefined;
    made.push({ device, bornAt: now, first, start, seenAt: now, push: undefined });
  }
  return made;
}

/** @param known the row that is to be moved, undefined where there is none yet. @returns false where it is another by now */
async function putStart(
  client: DynamoDBClient,
  user: string,
  device: string,
  now: number,
  made: Start,
  known: Start | undefined,
): Promise<boolean> {
  try {
    await client.send(
      new UpdateItemCommand({
        TableName: TABLE,
        Key: { user: { S: user }, device: { S: device } },
        UpdateExpression: `SET #f = :f, #s = :s${known ? '' : ', bornAt = :now, seenAt = :now'}`,
        ConditionExpression: known ? '#f = :wasFirst AND #s = :was' : 'attribute_not_exists(#d)',
        ExpressionAttributeNames: { '#f': 'first', '#s': 'start', ...(known ? {} : { '#d': 'device' }) },
        ExpressionAttributeValues: {
          ':f': { BOOL: made.first },
          ':s': startItem(made),
          ...(known
            ? { ':wasFirst': { BOOL: known.first }, ':was': startItem(known) }
            : { ':now': { N: String(now) } }),
        },
      }),
    );
    return true;
  } catch (error) {
    if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
    return false;
  }
}

const startItem = ({ start }: Start): AttributeValue => ({
  M: Object.fromEntries([...start].map(([partition, at]) => [String(partition), { N: String(at) }])),
});

async function startByLog(first: boolean, logEnds: LogEnds): Promise<Start> {
  return { first, start: first ? new Map<number, number>() : await logEnds() };
}

/** That it was there. One that was forgotten meanwhile stays forgotten. */
export async function touchDevice(client: DynamoDBClient, user: string, device: string, now: number): Promise<void> {
  try {
    await client.send(
      new UpdateItemCommand({
        TableName: TABLE,
        Key: { user: { S: user }, device: { S: device } },
        UpdateExpression: 'SET seenAt = :now',
        ConditionExpression: 'attribute_exists(bornAt)',
        ExpressionAttributeValues: { ':now': { N: String(now) } },
      }),
    );
  } catch (error) {
    if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
  }
}

export async function deleteDevice(client: DynamoDBClient, user: string, device: string): Promise<void> {
  await client.send(new DeleteItemCommand({ TableName: TABLE, Key: { user: { S: user }, device: { S: device } } }));
}
