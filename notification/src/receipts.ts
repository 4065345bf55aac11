import { type DynamoDBClient, QueryCommand } from '@aws-sdk/client-dynamodb';
import type { UserEventOf } from '@restante/shared/contract/events';
import type { ServerFrame } from '@restante/shared/contract/server-frames';
import { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import type { Receipt, ReceiptStore } from '@restante/shared/inbox/receipts-redis';
import type { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import type { Logger } from '@restante/shared/runtime/logger';
import type { RedisStore } from '@restante/shared/runtime/redis';
import { sleep } from '@restante/shared/runtime/sleep';
import type { Members } from './members.ts';
import { publish } from './pages.ts';
import { Phased, TICK_MS } from './phased.ts';
import { type LiveSession, liveSessions } from './sessions-of.ts';
import type { ReceiptLog } from './webhooks/receipt-log.ts';

/** Receipts are pushed live in groups up to this size; in larger ones they are read on demand (decision 17). */
const LIVE_MEMBERS = 100;
const PERSIST_EACH_MS = 5_000;
/** How often a position that is beyond the history is looked for again: 1.5 s in all. */
const LOOKS_AGAIN = 5;
const FIRST_PAUSE_MS = 50;
/** Receipts that wait to be durable; beyond it a further one does not: it is in Redis, and moves again with the next. */
const MAX_UNPERSISTED = 100_000;

/**
 * Delivered and read, as cumulative positions: at once in Redis and to who is connected, in DynamoDB a few seconds later, so that a busy
 * conversation costs a write each few seconds, not one a message.
 */
export class Receipts {
  readonly #store: RedisStore;
  readonly #receipts: ReceiptStore;
  readonly #dynamo: DynamoDBClient;
  readonly #members: Members;
  readonly #leases: SlotLeases;
  readonly #producer: BatchingProducer;
  readonly #logger: Logger;
  readonly #log: ReceiptLog | undefined;
  readonly #unpersisted = new Phased<Receipt>(PERSIST_EACH_MS);
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: {
    store: RedisStore;
    receipts: ReceiptStore;
    dynamo: DynamoDBClient;
    members: Members;
    leases: SlotLeases;
    producer: BatchingProducer;
    logger: Logger;
    /** Where webhooks are on. */
    log?: ReceiptLog | undefined;
  }) {
    this.#store = options.store;
    this.#receipts = options.receipts;
    this.#dynamo = options.dynamo;
    this.#members = options.members;
    this.#leases = options.leases;
    this.#producer = options.producer;
    this.#logger = options.logger;
    this.#log = options.log;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** `read` of a client: where it is a member, and no further than there is anything to read. */
  async onRead({ user, conversation, position }: UserEventOf<'read'>): Promise<void> {
    if (!(await this.#members.of(conversation)).includes(user)) return;
    let last = await this.#lastPosition(conversation);
    // What was delivered may be read before it is in the history.
    for (let look = 0; last < position && look < LOOKS_AGAIN; look++) {
      await sleep(FIRST_PAUSE_MS * 2 ** look, this.#stopping.signal);
      last = await this.#lastPosition(conversation);
    }
    if (last === 0) return;
    await this.moved([{ conversation, user, kind: 'read', position: Math.min(position, last) }]);
  }

  /** Moves receipts forward, and tells who is connected of those that moved. */
  async moved(receipts: readonly Receipt[]): Promise<void> {
    // First: what was moved before a crash does not move again, and would never be told.
    await this.#log?.write(receipts);
    const replies = await this.#store.run(
      receipts.map((one) => this.#receipts.moveCall(one.conversation, one.user, one.kind, one.position)),
    );
    const moved = receipts.filter((_, i) => replies[i] === 1);
    for (const one of moved) {
      const key = `${one.kind} ${one.conversation} ${one.user}`;
      if (this.#unpersisted.size < MAX_UNPERSISTED || this.#unpersisted.get(key)) this.#unpersisted.set(key, one);
    }
    await this.#tell(moved);
  }

  async #tell(moved: readonly Receipt[]): Promise<void> {
    const told = await Promise.all(moved.map((one) => this.#toldOf(one)));
    // Each once: many receipts are one sender's.
    const sessions = await liveSessions(this.#store, this.#leases, [...new Set(told.flat())]);
    const of = new Map<string, LiveSession[]>();
    for (const session of sessions) {
      const others = of.get(session.user);
      if (others) others.push(session);
      else of.set(session.user, [session]);
    }
    const outgoing = new OutgoingBatch();
    moved.forEach(({ conversation, user, kind, position }, i) => {
      const frame: ServerFrame = { t: 'receipt', conversation, user, [kind]: position };
      for (const { slot, conn } of told[i]!.flatMap((name) => of.get(name) ?? []))
        outgoing.add(slot, { t: 'frame', conn, frame });
    });
    publish(outgoing, this.#producer, this.#logger);
  }

  /** Users whose connections hear of a receipt. */
  async #toldOf({ conversation, user, kind }: Receipt): Promise<string[]> {
    const members = await this.#members.of(conversation);
    if (members.length > LIVE_MEMBERS) return [];
    // The user's own other devices learn what was read; what was delivered concerns the others.
    return kind === 'read' ? [...members] : members.filter((member) => member !== user);
  }

  async #lastPosition(conversation: string): Promise<number> {
    const { Items } = await this.#dynamo.send(
      new QueryCommand({
        TableName: 'messages',
        KeyConditionExpression: 'conversation = :c',
        ExpressionAttributeValues: { ':c': { S: conversation } },
        ScanIndexForward: false,
        ConsistentRead: true,
        Limit: 1,
        ProjectionExpression: '#p',
        ExpressionAttributeNames: { '#p': 'position' },
      }),
    );
    return Number(Items?.[0]?.position?.N ?? 0);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    do {
      await sleep(TICK_MS, signal);
      const due = this.#unpersisted.take(MAX_UNPERSISTED, signal.aborted ? 'any' : 'due');
      const failed = await this.#receipts.persist(due.map(([, receipt]) => receipt));
      const again = due.filter((_, i) => failed[i] !== undefined);
      for (const [key, receipt] of again) if (!this.#unpersisted.get(key)) this.#unpersisted.set(key, receipt);
      if (again.length > 0) {
        const err = failed.find((why) => why !== undefined);
        this.#logger.warn({ receipts: again.length, err }, 'receipts could not be written: tried again');
      }
    } while (!signal.aborted);
  }
}
