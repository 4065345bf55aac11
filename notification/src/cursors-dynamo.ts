import { type DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { queryAll } from '@restante/shared/inbox/conversations-dynamo';
import type { Inbox } from '@restante/shared/inbox/inbox-redis';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { pool } from '@restante/shared/runtime/pool';
import type { RedisValue } from '@restante/shared/runtime/redis';
import { sleep } from '@restante/shared/runtime/sleep';
import { LRUCache } from 'lru-cache';
import { metrics } from './events.ts';

/** How long the acks of a user are gathered: a device that gets a message a second then costs a write each fifth. */
const GATHER_MS = 5_000;
/** How long they are gathered until who sent the messages hears that they were delivered. */
const TELL_AFTER_MS = 1_000;
/** How often it is looked who is due: what came spread over time is written so. */
const LOOK_EACH_MS = 100;
/** Few, so that a flush is spread over the second and does not take the machine from those who wait for a message. */
const PARALLEL_UPDATES = 3;
/** Users whose marks are read, and cleared, in one round trip. */
const USERS_AT_ONCE = 100;
/** A device's last seen is written this often at most: its retention is counted in days. */
const SEEN_EACH_MS = 6 * 3600 * 1000;
const MAX_SEEN_DEVICES = 200_000;

/** device#conversation → position, from `cursors`. */
export async function readCursors(client: DynamoDBClient, user: string): Promise<Map<string, number>> {
  const cursors = new Map<string, number>();
  const items = await queryAll(client, {
    TableName: 'cursors',
    KeyConditionExpression: '#u = :u',
    ExpressionAttributeNames: { '#u': 'user' },
    ExpressionAttributeValues: { ':u': { S: user } },
  });
  for (const item of items) cursors.set(item.deviceConversation?.S ?? '', Number(item.position?.N ?? -1));
  return cursors;
}

/** A cursor that an ack has moved. `field` is device#conversation. */
export type Mark = { user: string; field: string; position: string };
export type OnMoved = (marks: readonly Mark[]) => Promise<void>;

/** The promises of a user whose cursors wait to be durable. */
type Waiting = [user: string, { dueAtMs: number; waiters: (() => void)[] }];

/**
 * Makes cursors durable: what acks have left in Redis as marks goes to DynamoDB `cursors`, gathered for some seconds, only ever forward
 * (decision 11). An ack's event is finished only then, so a crash between the two finds its marks again.
 */
export class CursorFlusher {
  readonly #onMoved: OnMoved;
  readonly #client: DynamoDBClient;
  readonly #inbox: Inbox;
  readonly #logger: Logger;
  readonly #seen = new LRUCache<string, true>({ max: MAX_SEEN_DEVICES, ttl: SEEN_EACH_MS });
  readonly #stopping = new AbortController();
  /** In the order in which they are due. */
  readonly #waiting = new Map<string, Waiting[1]>();
  /** Users whose marks have moved since `onMoved` was told, and when it is to be. */
  readonly #untold = new Map<string, number>();
  #hurried = false;
  #running: Promise<unknown> = Promise.resolve();

  /** @param onMoved told of marks soon after they moved, and before they are durable; of some more than once */
  constructor(client: DynamoDBClient, inbox: Inbox, logger: Logger, onMoved: OnMoved) {
    this.#onMoved = onMoved;
    this.#client = client;
    this.#inbox = inbox;
    this.#logger = logger;
  }

  start(): void {
    this.#running = Promise.all([this.#flushEach(), this.#tellEach()]);
  }

  /** Flushes what is there once more, then ends. What could not be written comes again with the events. */
  async stop(): Promise<void> {
    this.hurry();
    this.#stopping.abort();
    await this.#running;
  }

  /** Everybody is due at once from now on: before a stop, which waits for them. */
  hurry(): void {
    this.#hurried = true;
  }

  /** @returns once the marks that the user has now are durable */
  flushed(user: string): Promise<void> {
    if (!this.#untold.has(user)) this.#untold.set(user, performance.now() + TELL_AFTER_MS);
    return new Promise((resolve) => this.#wait(user, [resolve]));
  }

  #wait(user: string, waiters: readonly (() => void)[]): void {
    const waiting = this.#waiting.get(user);
    if (waiting) waiting.waiters.push(...waiters);
    else this.#waiting.set(user, { dueAtMs: performance.now() + GATHER_MS, waiters: [...waiters] });
  }

  /** Takes out who is due, at most USERS_AT_ONCE. */
  #take(): Waiting[] {
    const taken: Waiting[] = [];
    const now = performance.now();
    for (const one of this.#waiting) {
      if (taken.length === USERS_AT_ONCE || (one[1].dueAtMs > now && !this.#hurried)) break;
      taken.push(one);
      this.#waiting.delete(one[0]);
    }
    return taken;
  }

  async #flushEach(): Promise<void> {
    const { signal } = this.#stopping;
    do {
      await sleep(LOOK_EACH_MS, signal);
      metrics.unflushed.set(this.#waiting.size);
      const most = this.#waiting.size;
      for (let done = 0; done < most; ) {
        const taken = this.#take();
        if (taken.length === 0) break;
        done += taken.length;
        await this.#flush(taken);
      }
    } while (!signal.aborted);
  }

  /** Apart from the flush: where DynamoDB is slow, who is connected is still told. */
  async #tellEach(): Promise<void> {
    const { signal } = this.#stopping;
    do {
      await sleep(LOOK_EACH_MS, signal);
      const now = performance.now();
      const due = [...this.#untold].filter(([, atMs]) => atMs <= now || this.#hurried).map(([user]) => user);
      for (let i = 0; i < due.length; i += USERS_AT_ONCE) {
        const users = due.slice(i, i + USERS_AT_ONCE);
        try {
          await this.#tell(users);
        } catch (error) {
          this.#logger.warn({ users: users.length, err: messageOf(error) }, 'not told what was delivered: tried again');
        }
      }
    } while (!signal.aborted);
  }

  async #tell(users: readonly string[]): Promise<void> {
    if (users.length === 0) return;
    const told = users.map((user) => [user, this.#untold.get(user)] as const);
    // Before the marks are read: what moves from now on is told once more.
    for (const user of users) this.#untold.delete(user);
    try {
      await this.#onMoved(await this.#read(users));
    } catch (error) {
      for (const [user, atMs] of told) if (atMs !== undefined) this.#untold.set(user, atMs);
      throw error;
    }
  }

  async #read(users: readonly string[]): Promise<Mark[]> {
    const replies = await this.#inbox.run(users.map((user) => this.#inbox.ackedMarksCall(user)));
    return users.flatMap((user, i) => marksOf(user, replies[i]!));
  }

  /** Writes what is marked for these users. Who fails is tried again with the next flush. */
  async #flush(users: readonly Waiting[]): Promise<void> {
    const failed = new Set<string>();
    try {
      const names = users.map(([user]) => user);
      // Durable marks are forgotten, so nobody could be told later.
      await this.#tell(names.filter((user) => this.#untold.has(user)));
      const marks = await this.#read(names);
      await this.#write(marks, failed);
      const written = marks.filter(({ user }) => !failed.has(user));
      const byUser = new Map<string, string[]>();
      for (const { user, field, position } of written) {
        const fields = byUser.get(user);
        if (fields) fields.push(field, position);
        else byUser.set(user, [field, position]);
      }
      await this.#inbox.run([...byUser].map(([user, fields]) => this.#inbox.flushedCall(user, fields)));
    } catch (error) {
      this.#logger.warn({ users: users.length, err: messageOf(error) }, 'cursors could not be flushed: tried again');
      for (const [user] of users) failed.add(user);
    }
    for (const [user, { waiters }] of users) {
      if (failed.has(user)) this.#wait(user, waiters);
      else for (const resolve of waiters) resolve();
    }
  }

  /** @param failed gets the users of whom not everything could be written */
  async #write(marks: readonly Mark[], failed: Set<string>): Promise<void> {
    await pool(marks, PARALLEL_UPDATES, async ({ user, field, position }) => {
      try {
        await this.#forward(user, field, position);
        await this.#touch(user, field.slice(0, field.indexOf('#')));
      } catch (error) {
        if (!failed.has(user))
          this.#logger.warn({ user, err: messageOf(error) }, 'cursors could not be written: tried again');
        failed.add(user);
      }
    });
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

/** The reply of HGETALL, as pairs. */
function marksOf(user: string, reply: RedisValue): Mark[] {
  const texts = reply as string[];
  const marks: Mark[] = [];
  for (let i = 0; i < texts.length; i += 2) marks.push({ user, field: texts[i]!, position: texts[i + 1]! });
  return marks;
}
