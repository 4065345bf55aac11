import {
  BatchExecuteStatementCommand,
  type BatchStatementRequest,
  type DynamoDBClient,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { messageOf } from '../runtime/errors.ts';
import { pool } from '../runtime/pool.ts';

/** A position that an attribute of an item is to reach: `key` has the partition key first, then the sort key. */
export type Forward = {
  table: 'cursors' | 'receipts';
  key: readonly [user: [name: string, value: string], of: [name: string, value: string]];
  attribute: string;
  position: string;
};

/** What DynamoDB takes at most in one BatchExecuteStatement. */
const BATCH_STATEMENTS = 25;
const BATCHES_AT_ONCE = 4;
const SINGLE_UPDATES_AT_ONCE = 8;
/** What `Error.Code` says of a statement whose condition does not hold, and of an item that is there already. */
const NOT_SO = 'ConditionalCheckFailed';
const THERE = 'DuplicateItem';

/**
 * Moves positions forward, never back, whoever else writes them: each by a condition of its own, 25 a request, for a request costs
 * twenty times what is in it.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.multiplestatements.batching.html
 * @param forwards each item and attribute once
 * @returns for each, why it could not be written, or undefined: it is durable, or something further is
 */
export async function moveForward(
  client: DynamoDBClient,
  forwards: readonly Forward[],
): Promise<(string | undefined)[]> {
  const failed = new Map<Forward, string>();
  const note = (code: string | undefined, one: Forward) => {
    if (code !== undefined) failed.set(one, code);
  };
  // Its condition does not hold where something further is there, or nothing.
  const absent: Forward[] = [];
  await eachBatch(client, forwards, updateStatement, (code, one) => {
    if (code === NOT_SO) absent.push(one);
    else note(code, one);
  });
  const present: Forward[] = [];
  await eachBatch(client, absent, insertStatement, (code, one) => {
    if (code === THERE) present.push(one);
    else note(code, one);
  });
  // Something further, or somebody has made the item just now.
  await pool(present, SINGLE_UPDATES_AT_ONCE, async (one) => note(await updateOne(client, one), one));
  return forwards.map((one) => failed.get(one));
}

/** Runs a statement for each. One request may not have two of the same item. */
async function eachBatch(
  client: DynamoDBClient,
  forwards: readonly Forward[],
  statementOf: (one: Forward) => BatchStatementRequest,
  answered: (code: string | undefined, one: Forward) => void,
): Promise<void> {
  await pool(batches(forwards), BATCHES_AT_ONCE, async (batch) => {
    try {
      const { Responses } = await client.send(new BatchExecuteStatementCommand({ Statements: batch.map(statementOf) }));
      batch.forEach((one, i) => {
        const response = Responses?.[i];
        answered(response ? response.Error?.Code : 'no response', one);
      });
    } catch (error) {
      for (const one of batch) answered(messageOf(error), one);
    }
  });
}

function batches(forwards: readonly Forward[]): Forward[][] {
  const made: { items: Set<string>; batch: Forward[] }[] = [];
  for (const one of forwards) {
    const item = `${one.table} ${JSON.stringify(one.key)}`;
    const open = made.at(-1);
    if (open && open.batch.length < BATCH_STATEMENTS && !open.items.has(item)) {
      open.items.add(item);
      open.batch.push(one);
    } else made.push({ items: new Set([item]), batch: [one] });
  }
  return made.map(({ batch }) => batch);
}

function updateStatement({ table, key: [user, of], attribute, position }: Forward): BatchStatementRequest {
  return {
    Statement: `UPDATE "${table}" SET "${attribute}" = ? WHERE "${user[0]}" = ? AND "${of[0]}" = ? AND ("${attribute}" IS MISSING OR "${attribute}" < ?)`,
    Parameters: [{ N: position }, { S: user[1] }, { S: of[1] }, { N: position }],
  };
}

function insertStatement({ table, key: [user, of], attribute, position }: Forward): BatchStatementRequest {
  return {
    Statement: `INSERT INTO "${table}" VALUE {'${user[0]}': ?, '${of[0]}': ?, '${attribute}': ?}`,
    Parameters: [{ S: user[1] }, { S: of[1] }, { N: position }],
  };
}

async function updateOne(client: DynamoDBClient, one: Forward): Promise<string | undefined> {
  const { table, key, attribute, position } = one;
  try {
    await client.send(
      new UpdateItemCommand({
        TableName: table,
        Key: Object.fromEntries(key.map(([name, value]) => [name, { S: value }])),
        UpdateExpression: 'SET #a = :p',
        ConditionExpression: 'attribute_not_exists(#a) OR #a < :p',
        ExpressionAttributeNames: { '#a': attribute },
        ExpressionAttributeValues: { ':p': { N: position } },
      }),
    );
    return undefined;
  } catch (error) {
    return (error as Error).name === 'ConditionalCheckFailedException' ? undefined : messageOf(error);
  }
}
