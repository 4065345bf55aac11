import { randomUUID } from 'node:crypto';
import { GetItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, expect, it } from 'vitest';
import { createDynamo } from '../runtime/dynamo.ts';
import { type Forward, moveForward } from './forward-dynamo.ts';

const dynamo = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: 'us-east-1' });
afterAll(() => dynamo.destroy());

const run = randomUUID();
const cursor = (user: string, position: number): Forward => ({
  table: 'cursors',
  key: [
    ['user', `${run}-${user}`],
    ['deviceConversation', 'phone#dm:a:b'],
  ],
  attribute: 'position',
  position: String(position),
});
const receipt = (user: string, kind: string, position: number): Forward => ({
  table: 'receipts',
  key: [
    ['conversation', `grp:${run}`],
    ['user', user],
  ],
  attribute: kind,
  position: String(position),
});
async function stored({ table, key }: Forward): Promise<Record<string, string | undefined>> {
  const { Item } = await dynamo.send(
    new GetItemCommand({
      TableName: table,
      Key: Object.fromEntries(key.map(([name, value]) => [name, { S: value }])),
      ConsistentRead: true,
    }),
  );
  return Object.fromEntries(
    Object.entries(Item ?? {}).flatMap(([name, { N }]) => (N === undefined ? [] : [[name, N]])),
  );
}
const none = (count: number) => Array.from({ length: count }, () => undefined);

it('makes what is not there, moves what is there, and never back', async () => {
  const users = Array.from({ length: 60 }, (_, i) => `u${i}`);
  expect(
    await moveForward(
      dynamo,
      users.map((user, i) => cursor(user, 100 + i)),
    ),
  ).toEqual(none(60));
  // Half of them further, half of them back; some that are new between them.
  const second = users.map((user, i) => (i % 7 === 0 ? cursor(`new-${user}`, 5) : cursor(user, i % 2 ? 1000 : 50)));
  expect(await moveForward(dynamo, second)).toEqual(none(60));
  for (const [i, user] of users.entries()) {
    const position = i % 7 !== 0 && i % 2 ? '1000' : String(100 + i);
    expect(await stored(cursor(user, 0)), user).toEqual({ position });
    if (i % 7 === 0) expect(await stored(cursor(`new-${user}`, 0))).toEqual({ position: '5' });
  }
});

it('moves two attributes of one item, each by itself', async () => {
  const both = (delivered: number, read: number) => [
    receipt('bob', 'delivered', delivered),
    receipt('bob', 'read', read),
  ];
  expect(await moveForward(dynamo, both(7, 3))).toEqual(none(2));
  expect(await stored(receipt('bob', 'read', 0))).toEqual({ delivered: '7', read: '3' });
  expect(await moveForward(dynamo, both(6, 4))).toEqual(none(2));
  expect(await stored(receipt('bob', 'read', 0))).toEqual({ delivered: '7', read: '4' });
});

it('holds positions beyond what 32 bits hold, and keys with anything in them', async () => {
  const odd = cursor(`'"; DROP -- ${'\u{1F4EC}'}`, 2 ** 53 - 1);
  expect(await moveForward(dynamo, [odd])).toEqual([undefined]);
  expect(await stored(odd)).toEqual({ position: String(2 ** 53 - 1) });
});

it('goes forward whoever writes at the same time', async () => {
  const positions = Array.from({ length: 20 }, (_, i) => i + 1).sort(() => Math.random() - 0.5);
  const results = await Promise.all(positions.map((position) => moveForward(dynamo, [cursor('raced', position)])));
  expect(results.flat()).toEqual(none(20));
  expect(await stored(cursor('raced', 0))).toEqual({ position: '20' });
});

it('names what could not be written, and writes the rest', async () => {
  const broken = cursor('broken', 2);
  await dynamo.send(
    new UpdateItemCommand({
      TableName: 'cursors',
      Key: Object.fromEntries(broken.key.map(([name, value]) => [name, { S: value }])),
      UpdateExpression: 'SET #p = :text',
      ExpressionAttributeNames: { '#p': 'position' },
      ExpressionAttributeValues: { ':text': { S: 'not a number' } },
    }),
  );
  const [fine, empty] = await moveForward(dynamo, [
    cursor('fine', 9),
    {
      ...cursor('x', 1),
      key: [
        ['user', ''],
        ['deviceConversation', 'd'],
      ],
    },
  ]);
  expect(fine).toBeUndefined();
  expect(empty).toMatch(/ValidationError|empty/i);
  expect(await stored(cursor('fine', 0))).toEqual({ position: '9' });
});
