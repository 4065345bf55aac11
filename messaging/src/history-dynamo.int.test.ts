import { type DynamoDBClient, GetItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import { messageEntry } from '@restante/shared/contract/entry';
import { memberItem, membershipItem } from '@restante/shared/inbox/conversations-dynamo';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { History, type HistoryRow } from './history-dynamo.ts';
import { newName, sendOf } from './test-messaging.ts';
import { Throttle, type Verdict } from './test-throttle.ts';

const throttle = new Throttle(process.env.DYNAMODB_ENDPOINT!);
let throttled: DynamoDBClient;
const direct = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: 'us-east-1' });
beforeAll(async () => {
  throttled = createDynamo({ endpoint: await throttle.start(), region: 'us-east-1' });
});
afterAll(async () => {
  throttled.destroy();
  direct.destroy();
  await throttle.stop();
});

let bob: string;
let history: History;
let writes: string[];
beforeEach(() => {
  bob = newName('bob');
  history = new History(throttled);
  writes = [];
  decide(() => 'pass');
});
/** Decides on the writes to a table by their count. */
function decide(verdict: (count: number, items: number, table: string) => Verdict | Promise<Verdict>): void {
  const counts = new Map<string, number>();
  throttle.decide = (table, items) => {
    const count = counts.get(table) ?? 0;
    counts.set(table, count + 1);
    writes.push(`${table} ${items}`);
    return verdict(count, items, table);
  };
}
const rows = (count: number): HistoryRow[] =>
  Array.from({ length: count }, (_, i) => {
    const send = sendOf(bob, 'alice', { body: `m${i}` });
    const { conversation, id, from } = send;
    return { conversation, position: i, id, from, entry: messageEntry(send, i, 1) };
  });
const write = (given: HistoryRow[], signal = new AbortController().signal) =>
  history.write({ rows: given, tombstones: [], members: [] }, signal);
async function stored(conversation: string): Promise<string[]> {
  const { Items } = await direct.send(
    new QueryCommand({
      TableName: 'messages',
      KeyConditionExpression: 'conversation = :c',
      ExpressionAttributeValues: { ':c': { S: conversation } },
      ConsistentRead: true,
    }),
  );
  return (Items ?? []).map(({ entry }) => entry!.S!);
}

describe('what DynamoDB leaves unprocessed', () => {
  it.each([0, 1, 9])('is sent again until all is taken, where it takes %i of a request', async (take) => {
    const given = rows(60);
    decide((count, _, table) => (table === 'messages' && count < 5 ? { take } : 'pass'));
    await write(given);
    expect(await stored(given[0]!.conversation)).toEqual(given.map(({ entry }) => entry));
    expect(writes.filter((one) => one.startsWith('messages')).length).toBeGreaterThan(5);
  });

  it('and what fails is sent again, whatever the failure', async () => {
    const given = rows(30);
    const failures: Verdict[] = [{ status: 400 }, { status: 500 }, 'drop', { status: 503 }, { take: 3 }];
    decide((count, _, table) => (table === 'messages' ? (failures[count] ?? 'pass') : 'pass'));
    await write(given);
    expect(await stored(given[0]!.conversation)).toHaveLength(30);
  });

  it('is sent in requests of at most 25, each row once', async () => {
    await write(rows(60));
    expect(writes.filter((one) => one.startsWith('messages')).sort()).toEqual([
      'messages 10',
      'messages 25',
      'messages 25',
    ]);
  });

  it('is given up once the partition is another owner’s', async () => {
    decide((_, __, table) => (table === 'messages' ? { take: 0 } : 'pass'));
    const controller = new AbortController();
    const writing = write(rows(3), controller.signal);
    const refused = expect(writing).rejects.toThrow('stopped with 3 items not written to messages');
    const written = history.written();
    controller.abort();
    await refused;
    await written;
  });
});

it('an item that DynamoDB calls invalid is an error, not retried in silence for ever', async () => {
  const [row] = rows(1);
  await expect(write([{ ...row!, conversation: '' }])).rejects.toThrow(/empty|validation/i);
});

it('direct conversations are put on record once, again where that failed', async () => {
  const controller = new AbortController();
  decide((_, __, table) => {
    if (table === 'memberships') controller.abort();
    return table === 'memberships' ? { take: 0 } : 'pass';
  });
  const given = rows(2);
  await expect(write(given, controller.signal)).rejects.toThrow('not written to memberships');
  decide(() => 'pass');
  await write(given);
  await write(given);
  expect(writes.filter((one) => one === 'memberships 2')).toHaveLength(1 + 1);
  const { Item } = await direct.send(
    new GetItemCommand({
      TableName: 'memberships',
      Key: { user: { S: bob }, conversation: { S: given[0]!.conversation } },
    }),
  );
  expect(Item).toBeDefined();
});

it('of two batches that change one membership the later one counts, however long the first is throttled', async () => {
  const conversation = `grp:${newName('g')}`;
  const members = (left?: number) => {
    const interval = { joined: 10, ...(left === undefined ? {} : { left }) };
    return [
      {
        conversations: [memberItem(conversation, bob, 'member', interval)],
        memberships: [membershipItem(bob, conversation, interval)],
      },
    ];
  };
  decide(async (count) => {
    if (count > 0) return 'pass';
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { take: 0 };
  });
  const { signal } = new AbortController();
  await Promise.all([
    history.write({ rows: [], tombstones: [], members: members() }, signal),
    history.write({ rows: [], tombstones: [], members: members(20) }, signal),
  ]);
  const Key = { conversation: { S: conversation }, item: { S: `member#${bob}#0000000000000010` } };
  const row = await direct.send(new GetItemCommand({ TableName: 'conversations', Key, ConsistentRead: true }));
  const Mine = { user: { S: bob }, conversation: { S: conversation } };
  const mine = await direct.send(new GetItemCommand({ TableName: 'memberships', Key: Mine, ConsistentRead: true }));
  expect([row.Item?.left, mine.Item?.left]).toEqual([{ N: '20' }, { N: '20' }]);
});
