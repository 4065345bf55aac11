import { DescribeTimeToLiveCommand, PutItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, expect, it } from 'vitest';
import { createDynamo } from './dynamo.ts';
import { ensureTables, TABLES, TableMismatchError } from './tables.ts';

const client = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: 'us-east-1' });
const suffix = Math.random().toString(36).slice(2, 10);
const named = (name: string) => `${name}-${suffix}`;

afterAll(() => client.destroy());

it('makes every table, in two processes at once and again later', async () => {
  const mine = Object.fromEntries(Object.entries(TABLES).map(([name, spec]) => [named(name), spec]));
  await Promise.all([ensureTables(client, mine), ensureTables(client, mine)]);
  await ensureTables(client, mine);
  const TableName = named('messages');
  for (const position of ['10', '9']) {
    const Item = { conversation: { S: 'dm:a:b' }, position: { N: position } };
    await client.send(new PutItemCommand({ TableName, Item }));
  }
  const { Items } = await client.send(
    new QueryCommand({
      TableName,
      KeyConditionExpression: 'conversation = :c',
      ExpressionAttributeValues: { ':c': { S: 'dm:a:b' } },
    }),
  );
  expect(Items?.map((item) => item.position?.N)).toEqual(['9', '10']);
  const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName }));
  expect(TimeToLiveDescription).toMatchObject({ AttributeName: 'expiresAt', TimeToLiveStatus: 'ENABLED' });
});

it('refuses a table that has other keys, and names both', async () => {
  const name = named('other');
  await ensureTables(client, { [name]: TABLES.receipts });
  const second = ensureTables(client, { [name]: TABLES.messages });
  await expect(second).rejects.toThrow(TableMismatchError);
  await expect(second).rejects.toThrow(
    `${name} has the keys conversation S / user S, but must have conversation S / position N`,
  );
});
