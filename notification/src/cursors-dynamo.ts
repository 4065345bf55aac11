import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { queryAll } from '@restante/shared/inbox/conversations-dynamo';
import { moveForward } from '@restante/shared/inbox/forward-dynamo';
import type { Inbox } from '@restante/shared/inbox/inbox-redis';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { RedisValue } from '@restante/shared/runtime/redis';
import { sleep } from '@restante/shared/runtime/sleep';
import { metrics } from './events.ts';
import { Phased, TICK_MS } from './phased.ts';
import type { SeenDevices } from './seen-devices-dynamo.ts';

/** The longest that the acks of a user are gathered: a device that gets a message a second then costs a write each fifth. */
const GATHER_MS = 5_000;
/** The longest that they are gathered until who sent the messages hears that they were delivered. */
const TELL_AFTER_MS = 1_000;
/** Users whose marks are read, and cleared, in one round trip. */
const USERS_AT_ONCE = 100;

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

/** Who waits for the cursors of a user to be durable. */
type Waiters = (() => void)[];

/**
 * Makes cursors durable: what acks have left in Redis as marks goes to DynamoDB `cursors`, gathered for some seconds, only ever forward
 * (decision 11). An ack's event is finished only then, so a crash between the two finds its marks again.
 */
export class CursorFlusher {
  readonly #onMoved: OnMoved;
  readonly #client: DynamoDBClient;
  readonly #inbox: Inbox;
  readonly #logger: Logger;
  readonly #seen: SeenDevices;
  readonly #stopping = new AbortController();
  readonly #waiting = new Phased<Waiters>(GATHER_MS);
  /** Users whose marks have moved since `onMoved` was told. */
  readonly #untold = new Phased<true>(TELL_AFTER_MS);
  #hurried = false;
  /** The batch of users that is being told. */
  #telling: Promise<void> = Promise.resolve();
  #running: Promise<unknown> = Promise.resolve();

  /** @param onMoved told of marks soon after they moved, and before they are durable; of some more than once */
  constructor(client: DynamoDBClient, inbox: Inbox, seen: SeenDevices, logger: Logger, onMoved: OnMoved) {
    this.#onMoved = onMoved;
    this.#client = client;
    this.#seen = seen;
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
    this.#untold.set(user, true);
    return new Promise((resolve) => this.#wait(user, [resolve]));
  }

  #wait(user: string, waiters: Waiters): void {
    const waiting = this.#waiting.get(user);
    if (waiting) waiting.push(...waiters);
    else this.#waiting.set(user, waiters);
  }

  /** Takes out some of those that are due, or of all before a stop. */
  #take<V>(queue: Phased<V>): [user: string, value: V][] {
    return queue.take(USERS_AT_ONCE, this.#hurried ? 'any' : 'due');
  }

  async #flushEach(): Promise<void> {
    const { signal } = this.#stopping;
    do {
      await sleep(TICK_MS, signal);
      metrics.unflushed.set(this.#waiting.size);
      // Who fails waits again: not for ever in one look, when everybody is due.
      for (let left = this.#waiting.size; left > 0; ) {
        const taken = this.#take(this.#waiting);
        if (taken.length === 0) break;
        left -= taken.length;
        await this.#flush(taken);
      }
    } while (!signal.aborted);
  }

  /** Apart from the flush: where DynamoDB is slow, who is connected is still told. */
  async #tellEach(): Promise<void> {
    const { signal } = this.#stopping;
    do {
      await sleep(TICK_MS, signal);
      for (let left = this.#untold.size; left > 0; ) {
        const users = this.#take(this.#untold).map(([user]) => user);
        if (users.length === 0) break;
        left -= users.length;
        this.#telling = this.#tell(users);
        try {
          await this.#telling;
        } catch (error) {
          this.#logger.warn({ users: users.length, err: messageOf(error) }, 'not told what was delivered: tried again');
        }
      }
    } while (!signal.aborted);
  }

  /** @param users taken out of those that are untold, before their marks are read: what moves from now on is told once more */
  async #tell(users: readonly string[]): Promise<void> {
    if (users.length === 0) return;
    try {
      await this.#onMoved(await this.#read(users));
    } catch (error) {
      for (const user of users) this.#untold.set(user, true);
      throw error;
    }
  }

  async #read(users: readonly string[]): Promise<Mark[]> {
    const replies = await this.#inbox.run(users.map((user) => this.#inbox.ackedMarksCall(user)));
    return users.flatMap((user, i) => marksOf(user, replies[i]!));
  }

  /** Writes what is marked for these users. Who fails is tried again with the next flush. */
  async #flush(users: readonly [user: string, waiters: Waiters][]): Promise<void> {
    const failed = new Set<string>();
    try {
      const names = users.map(([user]) => user);
      // Durable marks are forgotten, so nobody could be told later: neither by us nor by who is about to read them.
      await this.#telling.catch(() => undefined);
      await this.#tell(names.filter((user) => this.#untold.delete(user)));
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
      for (const { user, field } of written) this.#seen.saw(user, field.slice(0, field.indexOf('#')));
    } catch (error) {
      this.#logger.warn({ users: users.length, err: messageOf(error) }, 'cursors could not be flushed: tried again');
      for (const [user] of users) failed.add(user);
    }
    for (const [user, waiters] of users) {
      if (failed.has(user)) this.#wait(user, waiters);
      else for (const resolve of waiters) resolve();
    }
  }

  /** @param failed gets the users of whom not everything could be written */
  async #write(marks: readonly Mark[], failed: Set<string>): Promise<void> {
    // Another owner of the partition may have written later ones: only ever forward.
    const reasons = await moveForward(
      this.#client,
      marks.map(({ user, field, position }) => ({
        table: 'cursors',
        key: [
          ['user', user],
          ['deviceConversation', field],
        ],
        attribute: 'position',
        position,
      })),
    );
    marks.forEach(({ user }, i) => {
      if (reasons[i] === undefined) return;
      if (!failed.has(user)) this.#logger.warn({ user, err: reasons[i] }, 'cursors could not be written: tried again');
      failed.add(user);
    });
  }
}

/** The reply of HGETALL, as pairs. */
function marksOf(user: string, reply: RedisValue): Mark[] {
  const texts = reply as string[];
  const marks: Mark[] = [];
  for (let i = 0; i < texts.length; i += 2) marks.push({ user, field: texts[i]!, position: texts[i + 1]! });
  return marks;
}
