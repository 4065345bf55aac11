import { type AttributeValue, BatchWriteItemCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { awsClientOptions } from './aws.ts';
import { takeDirectWay } from './dynamo-direct.ts';
import { backoffMs, sleep } from './sleep.ts';

export type Item = Record<string, AttributeValue>;

/** What DynamoDB takes at most in one BatchWriteItem. */
export const BATCH_ITEMS = 25;
const RETRY_BASE_MS = 20;
const RETRY_CAP_MS = 2_000;

export function createDynamo(options: { endpoint: string | undefined; region: string }): DynamoDBClient {
  // Its middlewares are put in order once a command, not once a request.
  const client = new DynamoDBClient({ ...awsClientOptions(options), maxAttempts: 3, cacheMiddleware: true });
  // It copies what is sent and answered, field by field, for a logger that there is none of: 9 µs an item written.
  client.middlewareStack.remove('loggerMiddleware');
  takeDirectWay(client);
  return client;
}

/** The text of an item's key, by which items with the same one are told. */
export function itemKey(item: Item, names: readonly string[]): string {
  return names.map((name) => JSON.stringify(item[name])).join();
}

/** Until what DynamoDB did not take may be sent again. */
export function retryPause(attempt: number, signal?: AbortSignal): Promise<void> {
  return sleep(backoffMs(attempt, RETRY_BASE_MS, RETRY_CAP_MS), signal);
}

/**
 * Writes items by BatchWriteItem, 25 a request, in parallel, until DynamoDB has taken every one: what it returns as unprocessed
 * (throttled) is sent again with backoff, and so is a request that failed. Keys must be unique within `items`.
 * @throws the last error, once the signal is aborted: nothing is then known of what remained
 */
export async function writeAll(
  client: DynamoDBClient,
  table: string,
  items: readonly Item[],
  signal?: AbortSignal,
): Promise<void> {
  const chunks: Item[][] = [];
  for (let i = 0; i < items.length; i += BATCH_ITEMS) chunks.push(items.slice(i, i + BATCH_ITEMS));
  await Promise.all(chunks.map((chunk) => writeChunk(client, table, chunk, signal)));
}

/** One BatchWriteItem of at most BATCH_ITEMS. @returns what DynamoDB did not take (throttled): to be sent again, after a while */
export async function writeBatch(client: DynamoDBClient, table: string, items: readonly Item[]): Promise<Item[]> {
  const requests = items.map((item) => ({ PutRequest: { Item: item } }));
  const { UnprocessedItems } = await client.send(new BatchWriteItemCommand({ RequestItems: { [table]: requests } }));
  return (UnprocessedItems?.[table] ?? []).map(({ PutRequest }) => PutRequest?.Item as Item);
}

async function writeChunk(
  client: DynamoDBClient,
  table: string,
  chunk: readonly Item[],
  signal?: AbortSignal,
): Promise<void> {
  let left = chunk;
  for (let attempt = 0; left.length > 0; attempt++) {
    try {
      left = await writeBatch(client, table, left);
      if (left.length === 0) return;
    } catch (error) {
      // An item that DynamoDB calls invalid never becomes valid: that is a bug of ours, to be seen, not retried in silence for ever.
      if (signal?.aborted || (error as Error).name === 'ValidationException') throw error;
    }
    await retryPause(attempt, signal);
    if (signal?.aborted) throw new Error(`stopped with ${left.length} items not written to ${table}`);
  }
}
