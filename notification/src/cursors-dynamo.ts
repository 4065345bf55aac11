import { type DynamoDBClient, QueryCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import type { Inbox } from '@restante/shared/inbox/inbox-redis';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { sleep } from '@restante/shared/runtime/sleep';
import { LRUCache } from 'lru-cache';
import { metrics } from './events.ts';

const FLUSH_EACH_MS = 1_500;
/** Few, so that a flush is spread over the second and does not take the machine from those who wait for a message. */
const PARALLEL_UPDATES = 3;
/** A device's last seen is written this often at most: its retention is counted in days. */
const SEEN_EACH_MS = 6 * 3600 * 1000;
const MAX_SEEN_DEVICES = 200_000;

/** device#conversation → position, from `cursors`. */
export async function readCursors(client: DynamoDBClient, user: string): Promise<Map<string, number>> {
  const cursors = new Map<string, number>();
  let from: QueryCommand['input']['ExclusiveStartKey'];
  do {
    const { Items, LastEvaluatedKey } = await client.send(
      new QueryCommand({
        TableName: 'cursors',
        KeyConditionExpression: '#u = :u',
        ExpressionAttributeNames: { '#u': 'user' },
        ExpressionAttributeValues: { ':u': { S: user } },
        ConsistentRead: true,
        ExclusiveStartKey: from,
      }),
    );
    for (const item of Items ?? []) cursors.set(item.deviceConversation?.S ?? '', Number(item.position?.N ?? -1));
    from = LastEvaluatedKey;
  } while (from);
  return cursors;
}

export type OnDurable = (user: string, marks: readonly [field: string, position: string][]) => Promise<void>;

/**
 * Makes cursors durable: what acks have left in Redis as marks goes to DynamoDB `cursors`, gathered for a second, only ever forward
 * (decision 11). An ack's event is finished only then, so a crash between the two finds its marks again.
 */
export class CursorFlusher {
  readonly #onDurable: OnDurable;
  readonly #client: DynamoDBClient;
  readonly #inbox: Inbox;
  readonly #logger: Logger;
  readonly #seen = new LRUCache<string, true>({ max: MAX_SEEN_DEVICES, ttl: SEEN_EACH_MS });
  readonly #stopping = new AbortController();
  #waiting = new Map<string, (() => void)[]>();
  #running: Promise<void> = Promise.resolve();

  /** @param onDurable told of the marks of a user that are durable now: device#conversation, position */
  constructor(client: DynamoDBClient, inbox: Inbox, logger: Logger, onDurable: OnDurable) {
    this.#onDurable = onDurable;
    this.#client = client;
    this.#inbox = inbox;
    this.#logger = logger;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Flushes what is there once more, then ends. What could not be written comes again with the events. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** @returns once the marks that the user has now are durable */
  flushed(user: string): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiting.get(user);
      if (waiters) waiters.push(resolve);
      else this.#waiting.set(user, [resolve]);
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      await sleep(FLUSH_EACH_MS, signal);
      metrics.unflushed.set(this.#waiting.size);
      const taken = [...this.#waiting];
      this.#waiting = new Map();
      let next = 0;
      const work = async () => {
        while (next < taken.length) {
          const [user, waiters] = taken[next++]!;
          try {
            await this.#flush(user);
            for (const resolve of waiters) resolve();
          } catch (error) {
            this.#logger.warn({ user, err: messageOf(error) }, 'cursors could not be written: tried again');
            const since = this.#waiting.get(user) ?? [];
            this.#waiting.set(user, [...waiters, ...since]);
          }
        }
      };
      await Promise.all(Array.from({ length: PARALLEL_UPDATES }, work));
      if (signal.aborted) return;
    }
  }

  async #flush(user: string): Promise<void> {
    const marks = Object.entries(await this.#inbox.ackedMarks(user));
    for (const [field, position] of marks) {
      await this.#forward(user, field, position);
      await this.#touch(user, field.slice(0, field.indexOf('#')));
    }
    if (marks.length === 0) return;
    await this.#onDurable(user, marks);
    await this.#inbox.run([this.#inbox.flushedCall(user, marks.flat())]);
  }

  async #forward(user: string, deviceConversation: string, position: string): Promise<void> {
    await this.#update({
      TableName: 'cursors',
      Key: { user: { S: user }, deviceConversation: { S: deviceConversation } },
      UpdateExpression: 'SET #p = :p',
      // Another owner of the partition may have written a later one.
      ConditionExpression: 'attribute_not_exists(#p) OR #p < :p',
      ExpressionAttributeNames: { '#p': 'position' },
      ExpressionAttributeValues: { ':p': { N: position } },
    });
  }

  /** A device that acks is seen; one that was forgotten meanwhile stays forgotten. */
  async #touch(user: string, device: string): Promise<void> {
    const key = `${user} ${device}`;
    if (this.#seen.has(key)) return;
    await this.#update({
      TableName: 'devices',
      Key: { user: { S: user }, device: { S: device } },
      UpdateExpression: 'SET seenAt = :now',
      ConditionExpression: 'attribute_exists(bornAt)',
      ExpressionAttributeValues: { ':now': { N: String(Date.now()) } },
    });
    this.#seen.set(key, true);
  }

  async #update(input: UpdateItemCommand['input']): Promise<void> {
    try {
      await this.#client.send(new UpdateItemCommand(input));
    } catch (error) {
      if ((error as Error).name !== 'ConditionalCheckFailedException') throw error;
    }
  }
}
