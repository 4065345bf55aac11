import { CLOSE } from '@restante/shared/contract/codes';
import type { ConnectReply, Inbox } from '@restante/shared/inbox/inbox-redis';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { Addresses } from './addresses.ts';
import { countLost, flushAck, publishAck } from './client-frames.ts';
import type { Connection, Socket } from './connection.ts';
import { hasRoomAgain, sendGathered, type Window, write } from './deliver.ts';
import { metrics } from './events.ts';
import type { Guard } from './guard.ts';
import type { GatewayLog } from './log.ts';
import type { SlotHolder } from './slot.ts';

/** How long after a hint beyond its turn the missing ones are asked for. */
const GAP_MS = 200;
/** user_connected is published again where nothing came of it for this long. */
const ANSWER_MS = 5_000;
const SWEEP_MS = 100;
/** Sessions are asserted each 10 s, a tenth of them a second, so that no burst of scripts comes of it. */
const ASSERT_ROUNDS = 10;
const ASSERT_ROUND_MS = 1_000;
/** Bytes that a socket may hold beyond its window (receipts, presence …) before its reader is too slow to keep. */
const MAX_BUFFERED_EXTRA_BYTES = 1024 * 1024;
/**
 * What waits for the windows of all connections together: beyond it entries stay in Redis until their own window has room. Looked at in each
 * sweep, so that what comes within one may come on top.
 */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

export type ConnectionsOptions = Omit<Window, 'crowded'> & {
  inbox: Inbox;
  log: GatewayLog;
  slot: SlotHolder;
  logger: Logger;
  heartbeatSeconds: number;
  guard: Pick<Guard, 'threwOut'>;
};

/** All connections of this gateway: their beginning, their end, and what must be looked after while they last. */
export class Connections {
  readonly all = new Map<string, Connection>();
  readonly addresses = new Addresses();
  readonly #options: ConnectionsOptions;
  /** How far its connections are written to: the same for all who write to them. */
  readonly window: Window;
  readonly #timers: NodeJS.Timeout[] = [];
  #opened = 0;
  #waitingBytes = 0;
  #round = 0;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    const { windowEntries, prefetchEntries, windowBytes } = options;
    const crowded = () => this.#waitingBytes > MAX_WAITING_BYTES;
    this.window = { windowEntries, prefetchEntries, windowBytes, crowded };
  }

  start(): void {
    this.#timers.push(setInterval(() => this.#sweep(), SWEEP_MS));
    this.#timers.push(setInterval(() => void this.#assertSome(), ASSERT_ROUND_MS));
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  readonly slotNumber = (): number => this.#options.slot.current()?.slot ?? 0;

  /** The socket is open (called within the upgrade, before `opened`). */
  attach(connection: Connection, socket: Socket): void {
    connection.socket = socket;
    connection.assertRound = this.#opened++ % ASSERT_ROUNDS;
    this.all.set(connection.id, connection);
    this.addresses.opened(connection.address);
    metrics.connections.set(this.all.size);
  }

  anySocket(): Socket | undefined {
    for (const { socket } of this.all.values()) return socket;
    return undefined;
  }

  /** The session is registered and the socket open: welcome where the inbox is whole, else after its rebuild. */
  opened(connection: Connection, reply: Extract<ConnectReply, { is: 'ok' | 'partial' }>): void {
    if (connection.closed) return;
    if (reply.is === 'ok') this.welcome(connection, reply.gen, reply.acked, reply.tail);
    this.#publishConnected(connection);
  }

  readonly welcome = (connection: Connection, gen: number, acked: number, tail: number): void => {
    connection.goTo(gen, acked);
    write(connection, {
      t: 'welcome',
      connection: connection.id,
      user: connection.user,
      device: connection.device,
      gen,
      acked,
      tail,
      window: this.#options.windowEntries,
      heartbeatSeconds: this.#options.heartbeatSeconds,
      now: Date.now(),
    });
    const { early } = connection;
    connection.early = undefined;
    for (const text of early ?? []) this.onText(connection, text);
  };

  /** Set by the app: what to do with a frame. */
  onText: (connection: Connection, text: string) => void = () => {};

  /** The socket is closed, by whichever side. */
  closed(connection: Connection, code: number): void {
    if (connection.closed) return;
    connection.closed = true;
    this.all.delete(connection.id);
    this.addresses.closed(connection.address);
    metrics.connections.set(this.all.size);
    metrics.closes.inc({ code });
    flushAck(connection, { log: this.#options.log, slot: this.slotNumber });
    this.abandoned(connection);
  }

  /** Ends a session. Lost, it expires by itself: nobody asserts it. */
  abandoned(connection: Connection): void {
    const { user, device, id, gen, written } = connection;
    const at = { conn: id, slot: this.slotNumber(), at: Date.now() };
    const sent = gen === undefined ? {} : { sent: { gen, seq: written } };
    const event = { t: 'user_disconnected' as const, user, device, ...at, ...sent };
    this.#options.log.event(event).catch(countLost);
  }

  /**
   * uWebSockets calls `closed` before `end` returns, whoever reads or not, so that no session is left; what is buffered it keeps
   * for as long as it is read, and 16 s at most where it is not.
   */
  readonly close = (connection: Connection, code: number, reason: string): void => {
    sendGathered(connection);
    if (!connection.closed) connection.socket?.end(code, reason);
  };

  /** Closes for what the client sent, so that its device has to wait before it comes again. */
  readonly throwOut = (connection: Connection, code: number, reason: string): void => {
    const { user, device } = connection;
    this.#options.guard.threwOut(user, device, Date.now());
    this.close(connection, code, reason);
  };

  readonly refill = (connection: Connection, reason: string): void => {
    const { user, device, id, gen, expect } = connection;
    if (gen === undefined) return;
    metrics.refills.inc({ reason });
    // Asked again after the same wait if this one, or its answer, is lost.
    connection.gapSinceMs = Date.now();
    const event = { t: 'refill' as const, user, device, conn: id, slot: this.slotNumber(), gen, from: expect };
    this.#options.log.event(event).catch(countLost);
  };

  readonly repeatAck = (connection: Connection): void =>
    publishAck(connection, { log: this.#options.log, slot: this.slotNumber });

  /** Says `bye` to all, with reconnects spread over `spreadMs`, and closes. */
  drain(code: number, reason: string, spreadMs: number): void {
    for (const connection of [...this.all.values()]) this.dismiss(connection, code, reason, spreadMs);
  }

  /** Says `bye` to one, with a reconnect within `spreadMs`, and closes. */
  dismiss(connection: Connection, code: number, reason: string, spreadMs: number): void {
    const reconnectAfterMs = Math.round(Math.random() * spreadMs);
    // One that still waits for its inbox gets the close alone: the welcome is the first frame, always.
    if (connection.gen !== undefined) write(connection, { t: 'bye', code, reason, reconnectAfterMs });
    this.close(connection, code, reason);
  }

  #publishConnected(connection: Connection): void {
    const held = this.#options.slot.current();
    connection.awaitingSinceMs = Date.now();
    if (!held) return;
    const { user, device, id, seen, replaced, poison } = connection;
    const event = {
      t: 'user_connected' as const,
      user,
      device,
      conn: id,
      ...held,
      at: Date.now(),
      ...(seen ? { seen } : {}),
      ...(replaced ? { replaced } : {}),
      ...(poison ? { poison } : {}),
    };
    this.#options.log.event(event).catch(countLost);
  }

  #sweep(): void {
    const now = Date.now();
    this.#waitingBytes = 0;
    for (const connection of this.all.values()) {
      if (connection.waiting) this.#waitingBytes += connection.unackedBytes;
      if (connection.gapSinceMs !== 0 && now - connection.gapSinceMs >= GAP_MS) this.refill(connection, 'gap');
      if (connection.awaitingSinceMs !== 0 && now - connection.awaitingSinceMs >= ANSWER_MS)
        this.#publishConnected(connection);
      if (connection.expiresAtMs <= now) this.#expire(connection);
      // Acks ask for more by themselves; what others left free does not.
      if (hasRoomAgain(connection, this.window)) {
        connection.behind = false;
        this.refill(connection, 'window');
      }
      const full = connection.behind || connection.unacked.length >= this.#options.windowEntries;
      if (full && !connection.stalled) metrics.windowStalls.inc();
      connection.stalled = full;
    }
  }

  #expire(connection: Connection): void {
    this.dismiss(connection, CLOSE.tokenExpired.code, 'the token has expired', 0);
  }

  /** Says of a tenth of the connections that they are open, and finds those that were replaced or whose inbox was lost. */
  async #assertSome(): Promise<void> {
    this.#round = (this.#round + 1) % ASSERT_ROUNDS;
    const some: Connection[] = [];
    for (const connection of this.all.values()) if (connection.assertRound === this.#round) some.push(connection);
    if (some.length === 0) return;
    const { inbox, logger, windowBytes } = this.#options;
    for (const connection of some) {
      if ((connection.socket?.getBufferedAmount() ?? 0) > windowBytes + MAX_BUFFERED_EXTRA_BYTES) {
        // No `bye`: it would come after all that is not read yet.
        this.close(connection, CLOSE.tooSlow.code, 'too slow to read');
      }
    }
    try {
      const replies = await inbox.run(
        some.map((connection) => inbox.assertCall(connection.user, connection.id, connection.gen)),
      );
      some.forEach((connection, i) => {
        this.#onAsserted(connection, String(replies[i]));
      });
    } catch (error) {
      // Redis is away: the sockets stay. The next round asserts them.
      logger.warn({ err: messageOf(error) }, 'sessions could not be asserted');
    }
  }

  #onAsserted(connection: Connection, verdict: string): void {
    if (connection.closed || verdict === 'ok') return;
    // A session that is gone was replaced, or Redis lost it; a new connection finds out which, and has its place again.
    if (verdict === 'gone') this.close(connection, CLOSE.draining.code, 'the session was lost: connect again');
    else if (connection.gen !== undefined) this.#publishConnected(connection);
  }
}
