import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { RedisStore, ScriptCall } from '../runtime/redis.ts';
import { queryAll } from './conversations-dynamo.ts';
import { moveForward } from './forward-dynamo.ts';

export type ReceiptKind = 'delivered' | 'read';
export type Receipt = { conversation: string; user: string; kind: ReceiptKind; position: number };
/** A position that was reached, and when. */
export type Reached = { position: number; atMs: number };
export type UserReceipts = { delivered: number; read: number; reached: Record<ReceiptKind, Reached[]> };

const KEPT_MS = 30 * 24 * 3600 * 1000;
const receiptsKey = (conversation: string): string => `receipts:{${conversation}}`;
const LETTER: Record<ReceiptKind, string> = { delivered: 'd', read: 'r' };

/**
 * Receipts: cumulative positions per (conversation, user). Redis has them at once, with when each was reached; DynamoDB `receipts` for
 * good, a few seconds later. What is read is the further of the two.
 */
export class ReceiptStore {
  readonly #store: RedisStore;
  readonly #dynamo: DynamoDBClient;

  constructor(store: RedisStore, dynamo: DynamoDBClient) {
    this.#store = store;
    this.#dynamo = dynamo;
  }

  moveCall(conversation: string, user: string, kind: ReceiptKind, position: number | string): ScriptCall {
    return {
      script: 'inbox:receipt',
      keys: [receiptsKey(conversation)],
      args: [`${LETTER[kind]}${user}`, position, KEPT_MS],
    };
  }

  async read(conversation: string): Promise<Map<string, UserReceipts>> {
    const [fields, items] = await Promise.all([
      this.#store.client.hgetall(receiptsKey(conversation)),
      queryAll(this.#dynamo, {
        TableName: 'receipts',
        KeyConditionExpression: 'conversation = :c',
        ExpressionAttributeValues: { ':c': { S: conversation } },
      }),
    ]);
    const receipts = new Map<string, UserReceipts>();
    const of = (user: string): UserReceipts => {
      const known = receipts.get(user) ?? { delivered: 0, read: 0, reached: { delivered: [], read: [] } };
      receipts.set(user, known);
      return known;
    };
    for (const item of items) {
      const known = of(item.user?.S ?? '');
      known.delivered = Number(item.delivered?.N ?? 0);
      known.read = Number(item.read?.N ?? 0);
    }
    for (const [field, text] of Object.entries(fields)) {
      const kind: ReceiptKind = field.startsWith('d') ? 'delivered' : 'read';
      const points = text.split(',').map((point): Reached => {
        const [position, atMs] = point.split(':');
        return { position: Number(position), atMs: Number(atMs) };
      });
      const known = of(field.slice(1));
      known.reached[kind] = points;
      known[kind] = Math.max(known[kind], points[0]?.position ?? 0);
    }
    // Who has read it has it.
    for (const known of receipts.values()) known.delivered = Math.max(known.delivered, known.read);
    return receipts;
  }

  /** Makes receipts durable, only ever forward. @returns for each why it could not be, or undefined */
  persist(receipts: readonly Receipt[]): Promise<(string | undefined)[]> {
    return moveForward(
      this.#dynamo,
      receipts.map(({ conversation, user, kind, position }) => ({
        table: 'receipts',
        key: [
          ['conversation', conversation],
          ['user', user],
        ],
        attribute: kind,
        position: String(position),
      })),
    );
  }
}
