import {
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  type TableDescription,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';

type KeyType = 'S' | 'N';
export type TableSpec = {
  partitionKey: { name: string; type: KeyType };
  sortKey: { name: string; type: KeyType };
  /** The attribute with the time (in seconds) from which DynamoDB may delete an item. */
  ttlAttribute?: string;
};

const table = (partitionKey: string, sortKey: string, type: KeyType = 'S'): TableSpec => ({
  partitionKey: { name: partitionKey, type: 'S' },
  sortKey: { name: sortKey, type },
});

/** The tables of DESIGN.md, "Keys and tables": whoever makes them, a stack in AWS or the launcher, reads this list. */
export const TABLES = {
  messages: { ...table('conversation', 'position', 'N'), ttlAttribute: 'expiresAt' },
  tombstones: table('conversation', 'position', 'N'),
  conversations: table('conversation', 'item'),
  memberships: table('user', 'conversation'),
  cursors: table('user', 'deviceConversation'),
  receipts: table('conversation', 'user'),
  devices: table('user', 'device'),
  logs: table('topic', 'partition', 'N'),
} as const satisfies Record<string, TableSpec>;

export type TableName = keyof typeof TABLES;

/** A table is there, but with other keys than the code's. */
export class TableMismatchError extends Error {
  override name = 'TableMismatchError';
}

const WAIT_SECONDS = 60;

/**
 * Makes the tables that are absent and checks the others. Safe under several processes at once.
 * @throws TableMismatchError where a table has other keys: nothing is changed then.
 */
export async function ensureTables(client: DynamoDBClient, tables: Record<string, TableSpec> = TABLES): Promise<void> {
  await Promise.all(Object.entries(tables).map(([name, spec]) => ensureTable(client, name, spec)));
}

async function ensureTable(client: DynamoDBClient, name: string, spec: TableSpec): Promise<void> {
  let found = await describe(client, name);
  if (!found) {
    await create(client, name, spec);
    await waitUntilTableExists({ client, maxWaitTime: WAIT_SECONDS, minDelay: 1, maxDelay: 2 }, { TableName: name });
    found = await describe(client, name);
  }
  const wanted = keysOf(spec);
  const actual = actualKeys(found);
  if (actual !== wanted)
    throw new TableMismatchError(`DynamoDB table ${name} has the keys ${actual}, but must have ${wanted}`);
  if (spec.ttlAttribute) await ensureTtl(client, name, spec.ttlAttribute);
}

async function describe(client: DynamoDBClient, name: string): Promise<TableDescription | undefined> {
  try {
    return (await client.send(new DescribeTableCommand({ TableName: name }))).Table;
  } catch (error) {
    if ((error as Error).name === 'ResourceNotFoundException') return undefined;
    throw error;
  }
}

async function create(client: DynamoDBClient, name: string, { partitionKey, sortKey }: TableSpec): Promise<void> {
  try {
    await client.send(
      new CreateTableCommand({
        TableName: name,
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [
          { AttributeName: partitionKey.name, KeyType: 'HASH' },
          { AttributeName: sortKey.name, KeyType: 'RANGE' },
        ],
        AttributeDefinitions: [partitionKey, sortKey].map((key) => ({
          AttributeName: key.name,
          AttributeType: key.type,
        })),
      }),
    );
  } catch (error) {
    // Another process was quicker.
    if ((error as Error).name !== 'ResourceInUseException') throw error;
  }
}

async function ensureTtl(client: DynamoDBClient, name: string, attribute: string): Promise<void> {
  const { TimeToLiveDescription: ttl } = await client.send(new DescribeTimeToLiveCommand({ TableName: name }));
  if (ttl?.TimeToLiveStatus === 'ENABLED' || ttl?.TimeToLiveStatus === 'ENABLING') {
    if (ttl.AttributeName === attribute) return;
    throw new TableMismatchError(
      `DynamoDB table ${name} has its TTL on ${ttl.AttributeName}, but must have it on ${attribute}`,
    );
  }
  try {
    const specification = { AttributeName: attribute, Enabled: true };
    await client.send(new UpdateTimeToLiveCommand({ TableName: name, TimeToLiveSpecification: specification }));
  } catch (error) {
    // Another process was quicker: DynamoDB says that it is enabled already.
    if ((error as Error).name !== 'ValidationException') throw error;
  }
}

const keysOf = ({ partitionKey, sortKey }: TableSpec) =>
  `${partitionKey.name} ${partitionKey.type} / ${sortKey.name} ${sortKey.type}`;

function actualKeys(found: TableDescription | undefined): string {
  const key = (type: 'HASH' | 'RANGE') => {
    const name = found?.KeySchema?.find((part) => part.KeyType === type)?.AttributeName;
    const attribute = found?.AttributeDefinitions?.find((definition) => definition.AttributeName === name);
    return name === undefined ? 'none' : `${name} ${attribute?.AttributeType}`;
  };
  return `${key('HASH')} / ${key('RANGE')}`;
}
