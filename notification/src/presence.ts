import type { UserEventOf } from '@restante/shared/contract/events';
import type { ServerFrame } from '@restante/shared/contract/server-frames';
import { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import type { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { RedisStore } from '@restante/shared/runtime/redis';
import { LRUCache } from 'lru-cache';
import type { Members } from './members.ts';
import { publish } from './pages.ts';
import { liveSessions } from './sessions-of.ts';

/** How long watches last without being said again; a reconnecting client says them again. */
const WATCH_SECONDS = 6 * 3600;
const LAST_SEEN_SECONDS = 90 * 24 * 3600;
const MAX_WATCHERS = 1_000;
const MAX_PENDING_OFFLINE = 100_000;
/** When those who share nothing yet are looked at again. */
const STRANGERS_AGAIN_MS = [500, 2_000, 8_000, 30_000];
const MAX_STRANGERS = 10_000;
type Watch = Pick<UserEventOf<'watch'>, 'user' | 'conn' | 'slot' | 'lease' | 'users'>;
const watchersKey = (user: string): string => `watchers:{${user}}`;
const watchingKey = (conn: string): string => `watching:{${conn}}`;
const lastSeenKey = (user: string): string => `lastseen:{${user}}`;

/**
 * Presence and typing: ephemeral, never stored, given only to those who share a conversation (decision 18). "Offline" is said after a
 * pause, so that a subway tunnel does not flap.
 */
export class Presence {
  readonly #store: RedisStore;
  readonly #members: Members;
  readonly #leases: SlotLeases;
  readonly #producer: BatchingProducer;
  readonly #logger: Logger;
  readonly #offlineAfterMs: number;
  readonly #strangers = new LRUCache<string, Watch>({ max: MAX_STRANGERS });
  readonly #leaving = new Map<string, NodeJS.Timeout>();

  constructor(options: {
    store: RedisStore;
    members: Members;
    leases: SlotLeases;
    producer: BatchingProducer;
    logger: Logger;
    offlineAfterMs: number;
  }) {
    this.#store = options.store;
    this.#members = options.members;
    this.#leases = options.leases;
    this.#producer = options.producer;
    this.#logger = options.logger;
    this.#offlineAfterMs = options.offlineAfterMs;
  }

  stop(): void {
    for (const timer of this.#leaving.values()) clearTimeout(timer);
  }

  async onTyping({ user, conn, conversation, on }: UserEventOf<'typing'>): Promise<void> {
    const members = await this.#members.of(conversation);
    if (!members.includes(user)) return;
    const frame: ServerFrame = { t: 'typing', conversation, user, on };
    const outgoing = new OutgoingBatch();
    for (const one of await liveSessions(
      this.#store,
      this.#leases,
      members.filter((member) => member !== user),
    )) {
      if (one.conn !== conn) outgoing.add(one.slot, { t: 'frame', conn: one.conn, frame });
    }
    publish(outgoing, this.#producer, this.#logger);
  }

  /** Replaces what a connection watches, and tells it how those users are now. */
  async onWatch({ user, conn, slot, lease, users }: UserEventOf<'watch'>): Promise<void> {
    const { client } = this.#store;
    const before = await client.smembers(watchingKey(conn));
    await Promise.all(before.map((watched) => client.hdel(watchersKey(watched), conn)));
    await client.del(watchingKey(conn));
    this.#strangers.delete(conn);
    await this.#watchShared({ user, conn, slot, lease, users }, 0);
  }

  /**
   * Watches those who share a conversation with the user. The others may come to share one in a moment, when the first message or the new
   * group is stored: they are looked at again, a few times.
   */
  async #watchShared(watch: Watch, attempt: number): Promise<void> {
    const { user, conn, slot, lease, users } = watch;
    const { client } = this.#store;
    const shared = await Promise.all(users.map((one) => this.#members.share(user, one)));
    const allowed = users.filter((_, i) => shared[i]);
    if (allowed.length > 0) {
      await client.sadd(watchingKey(conn), ...allowed);
      await client.expire(watchingKey(conn), WATCH_SECONDS);
    }
    const outgoing = new OutgoingBatch();
    const online = new Set((await liveSessions(this.#store, this.#leases, allowed)).map((session) => session.user));
    await Promise.all(
      allowed.map(async (watched) => {
        if ((await client.hlen(watchersKey(watched))) >= MAX_WATCHERS) return;
        await client.hset(watchersKey(watched), conn, `${slot},${lease}`);
        await client.expire(watchersKey(watched), WATCH_SECONDS);
        const frame = await this.#frame(watched, online.has(watched));
        outgoing.add(slot, { t: 'frame', conn, frame });
      }),
    );
    publish(outgoing, this.#producer, this.#logger);
    const strangers = users.filter((_, i) => !shared[i]);
    const delayMs = STRANGERS_AGAIN_MS[attempt];
    if (strangers.length === 0 || delayMs === undefined) return;
    const later: Watch = { ...watch, users: strangers };
    this.#strangers.set(conn, later);
    setTimeout(() => {
      // A newer watch of this connection took its place, or it was among too many.
      if (this.#strangers.get(conn) !== later) return;
      this.#strangers.delete(conn);
      this.#watchShared(later, attempt + 1).catch((error: unknown) =>
        this.#logger.warn({ user, err: messageOf(error) }, 'presence not said'),
      );
    }, delayMs).unref();
  }

  /** Somebody connected: said at once, unless they only were gone for a moment. */
  async onConnected(user: string): Promise<void> {
    const leaving = this.#leaving.get(user);
    if (leaving) {
      clearTimeout(leaving);
      this.#leaving.delete(user);
      return;
    }
    await this.#say(user, true);
  }

  /** A connection ended: said after a pause, if none has come by then. Lost with this process, it is said at the next change. */
  onDisconnected(user: string): void {
    if (this.#leaving.has(user) || this.#leaving.size >= MAX_PENDING_OFFLINE) return;
    const timer = setTimeout(() => {
      this.#leaving.delete(user);
      this.#left(user).catch((error: unknown) =>
        this.#logger.warn({ user, err: messageOf(error) }, 'presence not said'),
      );
    }, this.#offlineAfterMs);
    this.#leaving.set(user, timer);
  }

  async #left(user: string): Promise<void> {
    await this.#store.client.set(lastSeenKey(user), String(Date.now() - this.#offlineAfterMs), 'EX', LAST_SEEN_SECONDS);
    if ((await liveSessions(this.#store, this.#leases, [user])).length === 0) await this.#say(user, false);
  }

  async #say(user: string, online: boolean): Promise<void> {
    const watchers = Object.entries(await this.#store.client.hgetall(watchersKey(user)));
    if (watchers.length === 0) return;
    const frame = await this.#frame(user, online);
    const outgoing = new OutgoingBatch();
    for (const [conn, address] of watchers) {
      const [slot = '', lease = ''] = address.split(',');
      if (this.#leases.isAlive(Number(slot), lease)) outgoing.add(Number(slot), { t: 'frame', conn, frame });
      else await this.#store.client.hdel(watchersKey(user), conn);
    }
    publish(outgoing, this.#producer, this.#logger);
  }

  async #frame(user: string, online: boolean): Promise<ServerFrame> {
    const lastSeen = online ? null : await this.#store.client.get(lastSeenKey(user));
    return { t: 'presence', user, online, ...(lastSeen === null ? {} : { lastSeen: Number(lastSeen) }) };
  }
}
