import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { messageEntry } from '../contract/entry.ts';
import { directConversation } from '../contract/ids.ts';
import { RedisStore, type RedisValue } from '../runtime/redis.ts';
import {
  type ConnectReply,
  type Enqueued,
  Inbox,
  type InboxEntry,
  newGeneration,
  parseAck,
  parseAckIds,
  parseConnect,
  parseDisconnect,
  parseDueCheck,
  parseEnqueued,
  parseNack,
  parseRefill,
  parseReplay,
  parseSync,
} from './inbox-redis.ts';
import { type InboxLimits, inboxKeys, rebuildKey, stagedKey } from './scripts.ts';

export const TEST_LIMITS: InboxLimits = {
  retentionSeconds: 3600,
  maxEntries: 1000,
  maxBytes: 1_000_000,
  windowEntries: 10,
  deviceRetentionSeconds: 3600,
  maxDevices: 3,
  // No connection of a test lasts so long.
  poison: { connections: 2, connectionMs: 3_600_000, spanMs: 0 },
};

/** The message at a position, from `from`, in its direct conversation with `to`. */
export function entryAt(position: number, { from = 'bob', to = 'alice', body = `m${position}`, ttlSeconds = 0 } = {}) {
  const send = {
    t: 'send' as const,
    from,
    conversation: directConversation(from, to),
    id: `id-${String(position).padStart(6, '0')}`,
    body,
    at: 1_700_000_000_000,
    ...(ttlSeconds > 0 ? { ttlSeconds } : {}),
  };
  return messageEntry(send, position, send.at);
}

export const inboxEntry = (position: number, more: Partial<InboxEntry> = {}): InboxEntry => ({
  position,
  expiresAtMs: 0,
  own: false,
  entry: entryAt(position),
  ...more,
});

export const positions = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A row that was made while there was no whole inbox to ask. */
export const ROW_BY_LOG = 'after 0:1';

export type Meta = Record<string, string>;
export type RebuildOptions = {
  token?: string;
  devices?: string;
  missing?: number;
  conversations?: string;
  cut?: Record<number, number>;
  staged?: string[];
  withAllConnected?: boolean;
};
type Begun = { gen: string; base: string; store: string; acked: string[]; came: string[] };

/** One inbox after another on a real Redis: each script by a method of its name, its reply parsed. */
export class InboxRig {
  readonly inbox: Inbox;
  readonly store: RedisStore;
  /** The user that the methods mean: another for each test. */
  user = '';

  constructor(limits: Partial<InboxLimits> = {}, url = process.env.REDIS_URL) {
    if (url === undefined) throw new Error('REDIS_URL is not set: run by `npx vitest run --project integration`');
    this.store = new RedisStore({ url, cluster: false, logger: pino({ level: 'silent' }) });
    this.inbox = new Inbox(this.store, { ...TEST_LIMITS, ...limits });
  }

  ready(): Promise<void> {
    return this.store.ready();
  }

  close(): Promise<void> {
    return this.store.close();
  }

  newUser(): string {
    this.user = `u-${randomUUID()}`;
    return this.user;
  }

  /** A user with a whole, empty inbox, as after its first rebuild. */
  async whole(): Promise<void> {
    this.newUser();
    await this.rebuild();
  }

  /** A whole inbox with a device that has a live session, `c-<device>`, for each name. */
  async wholeWith(...devices: string[]): Promise<number> {
    await this.whole();
    for (const device of devices) await this.live(device);
    return Number((await this.meta()).gen);
  }

  /** Connects a device and replays to it until its session is live. */
  async live(device: string, conn = `c-${device}`): Promise<Extract<ConnectReply, { is: 'ok' | 'partial' }>> {
    const reply = await this.connect(device, conn);
    if (reply.is !== 'ok') throw new Error(`connect: ${reply.is}`);
    const replayed = await this.replay(conn);
    if (replayed.is !== 'page' || !replayed.page.live) throw new Error(`not live: ${JSON.stringify(replayed)}`);
    return reply;
  }

  async one<T>(parse: (value: RedisValue) => T, call: Parameters<Inbox['run']>[0][number]): Promise<T> {
    const [reply] = await this.inbox.run([call]);
    return parse(reply!);
  }

  enqueue(entries: readonly (number | InboxEntry)[], partition = 0): Promise<Enqueued> {
    const given = entries.map((entry) => (typeof entry === 'number' ? inboxEntry(entry) : entry));
    return this.one(parseEnqueued, this.inbox.enqueueCall(this.user, partition, given));
  }

  /** @param row what the device's row says, undefined for a gateway's two steps: made, and then durable as the inbox has noted it */
  async connect(
    device: string,
    conn = `c-${device}`,
    { row, max = 20, slot = 1, lease = 'lease' }: { row?: string; max?: number; slot?: number; lease?: string } = {},
  ) {
    const once = (known: string) =>
      this.one(parseConnect, this.inbox.connectCall(this.user, device, conn, slot, lease, known, max));
    const reply = await once(row ?? '');
    return row === undefined && reply.is === 'new' ? once(reply.start || ROW_BY_LOG) : reply;
  }

  replay(conn: string, anew = false) {
    return this.one(parseReplay, this.inbox.replayCall(this.user, conn, anew));
  }

  /** By the socket; `position` 0 where a gap is acked, as the gateway says it. */
  ack(device: string, gen: number, seq: number, position: number, conn = `c-${device}`) {
    return this.one(parseAck, this.inbox.ackCall(this.user, { device, conn, gen, seq, position }));
  }

  nack(device: string, gen: number, seq: number, position: number, mark: boolean, conn = `c-${device}`) {
    return this.one(parseNack, this.inbox.nackCall(this.user, { device, conn, gen, seq, position }, mark));
  }

  ackIds(device: string, ids: { from: string; id: string }[]) {
    return this.one(parseAckIds, this.inbox.ackIdsCall(this.user, device, ids));
  }

  disconnect(conn: string, sent?: { gen: number; seq: number }) {
    return this.one(parseDisconnect, this.inbox.disconnectCall(this.user, conn, sent));
  }

  refill(conn: string, gen: number, from: number) {
    return this.one(parseRefill, this.inbox.refillCall(this.user, conn, gen, from));
  }

  /** @param row as for `connect` */
  async sync(device: string, { row, limit = 100 }: { row?: string; limit?: number } = {}) {
    const once = (known: string) => this.one(parseSync, this.inbox.syncCall(this.user, device, known, limit));
    const reply = await once(row ?? '');
    return row === undefined && reply.is === 'new' ? once(reply.start || ROW_BY_LOG) : reply;
  }

  assert(conn: string, gen: number | undefined) {
    return this.one(String, this.inbox.assertCall(this.user, conn, gen));
  }

  dueCheck() {
    return this.one(parseDueCheck, this.inbox.dueCheckCall(this.user));
  }

  // ---- a rebuild in its two steps, and both

  async rebuildBegin(token = 'token', ms = 60_000): Promise<'whole' | 'busy' | Begun> {
    const keys = [...inboxKeys(this.user), rebuildKey(this.user)];
    const reply = await this.store.runOne({ script: 'inbox:rebuild-begin', keys, args: [newGeneration(), token, ms] });
    const [is, gen, base, store, acked, came] = reply as [string, string, string, string, string[], string[]];
    return is === 'begun' ? { gen, base, store, acked, came } : (is as 'whole' | 'busy');
  }

  /** @returns the tail and the connections to reset, or `again` */
  async rebuildSwap(
    begun: Begun,
    options: RebuildOptions = {},
  ): Promise<'again' | { tail: number; connections: string[] }> {
    const { token = 'token', devices = '', missing = 0, conversations = '', cut = {}, staged = [] } = options;
    const key = stagedKey(this.user, token);
    await this.store.client.del(key);
    if (staged.length > 0) await this.store.client.rpush(key, ...staged);
    const args = [token, begun.gen, begun.base, newGeneration(), missing, conversations, devices, begun.store];
    const reply = (await this.store.runOne({
      script: 'inbox:rebuild-swap',
      keys: [...inboxKeys(this.user), rebuildKey(this.user), key],
      args: [...args, options.withAllConnected ? 1 : 0, Object.keys(cut).length, ...Object.entries(cut).flat()],
    })) as string[];
    return reply[0] === 'ok' ? { tail: Number(reply[1]), connections: reply.slice(2) } : 'again';
  }

  async rebuild(options: RebuildOptions = {}): Promise<void> {
    const begun = await this.rebuildBegin(options.token);
    if (typeof begun === 'string' || (await this.rebuildSwap(begun, options)) === 'again')
      throw new Error(`not rebuilt: ${JSON.stringify(begun)}`);
  }

  // ---- what is in Redis

  keys(): { list: string; meta: string; sessions: string; acked: string } {
    const [list, meta, sessions, acked] = inboxKeys(this.user) as [string, string, string, string];
    return { list, meta, sessions, acked };
  }

  async meta(): Promise<Meta> {
    return this.store.client.hgetall(this.keys().meta);
  }

  /** The positions in the list, oldest first. */
  async listed(): Promise<number[]> {
    const elements = await this.store.client.lrange(this.keys().list, 0, -1);
    return elements.map((element) => Number(/"position":(\d+)/.exec(element)?.[1]));
  }

  /** The cursor of a device, undefined where it is not one. */
  async cursor(device: string): Promise<number | undefined> {
    const found = new RegExp(`(?:^|;)${device},(\\d+),`).exec((await this.meta()).devices ?? '')?.[1];
    return found === undefined ? undefined : Number(found);
  }

  /** Makes it look as if a device was last seen `secondsAgo`. */
  async unseen(device: string, secondsAgo: number): Promise<void> {
    const { devices = '' } = await this.meta();
    const seen = Date.now() - secondsAgo * 1000;
    const changed = devices.replace(new RegExp(`((?:^|;)${device},\\d+),\\d+,`), `$1,${seen},`);
    await this.store.client.hset(this.keys().meta, 'devices', changed);
  }

  /** Makes it look as if the first `count` entries were put in the list `secondsAgo`. */
  async age(count: number, secondsAgo: number): Promise<void> {
    const { list } = this.keys();
    for (let i = 0; i < count; i++) {
      const element = (await this.store.client.lindex(list, i))!;
      await this.store.client.lset(list, i, element.replace(/^\d+/, String(Date.now() - secondsAgo * 1000)));
    }
  }
}
