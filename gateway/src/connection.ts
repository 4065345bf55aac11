import type { EntryText } from '@restante/shared/contract/entry';
import type { WebSocket } from 'uws-current';
import type { TokenBucket } from './rate-limit.ts';

/** What uWebSockets keeps with each socket. */
export type SocketData = { connection: Connection };
export type Socket = WebSocket<SocketData>;

const TYPING_EACH_MS = 100;

/** One frame that was written and not yet acked. */
export type Unacked = { seq: number; position: number; bytes: number };
/** An entry, and whether it may have been sent to the device before. */
export type Taken = { seq: number; entry: EntryText; replayed: boolean };

/**
 * What the gateway knows of one connection: where it is in its inbox, and nothing of what others know. 5,000 to 20,000 of them
 * are in one process, so what an idle one doesn't need is made when it is needed.
 */
export class Connection {
  readonly id: string;
  readonly user: string;
  readonly device: string;
  readonly expiresAtMs: number;
  readonly openedAtMs: number;
  socket: Socket | undefined;
  /** Where it comes from, for the bound on connections of one address. */
  address = '';
  /**
   * The round in which its session is asserted. Its own: by its place among those that are open it would be left out for as long as
   * others leave at a pace that moves it along, until the session expired.
   */
  assertRound = 0;
  /** Generation and place in it. Undefined until the inbox is known: before the welcome. */
  gen: number | undefined;
  acked = 0;
  /** The seq that is taken next. */
  expect = 1;
  /** The last seq that was written. */
  written = 0;
  /** Entries between the two: taken in their turn while the device's window was full. Undefined where it has room. */
  waiting: Taken[] | undefined;
  drained = false;
  /** Seq at which the backlog ends, known before all of it was taken. */
  drainedAt: number | undefined;
  /** Nothing came after user_connected yet: when it was published last. 0 once something came. */
  awaitingSinceMs = 0;
  /** A hint beyond `expect` came: when. A refill is asked for if it stays so. */
  gapSinceMs = 0;
  /** The socket or the byte window was full, so entries were not taken: a refill is asked for when there is room. */
  behind = false;
  /** Entries that came before their turn, by seq. */
  held: Map<number, { entry: EntryText; gapFrom: number | undefined; replayed: boolean }> | undefined;
  unacked: Unacked[] = [];
  /** Of what was taken and not acked, whether it is written or waits. */
  unackedBytes = 0;
  /** Position that was sent at the seq `acked`, 0 where that was a gap: proves to Redis that both mean the same entry. */
  ackPosition = 0;
  /** Sends that Kafka has not acknowledged: their `stored` must not overtake `accepted`. */
  sending: Map<string, string | undefined> | undefined;
  /** Frames that wait to be sent together at the end of this turn of the event loop. */
  together: string[] | undefined;
  /** Frames that came before the welcome. */
  early: string[] | undefined;
  /** That the device was seen is in its durable row already. */
  seen = false;
  replaced: { conn: string; slot: number } | undefined;
  poison: { gen: number; seq: number } | undefined;
  ackScheduled = false;
  /** The seq of the last ack that was published in this generation. */
  ackPublished = 0;
  /** Its window was full when it was looked at last. */
  stalled = false;
  /** The entry whose way to its ack is timed, and when it was written; 0 where none is. */
  timedSeq = 0;
  timedAtMs = 0;
  closed = false;
  /** For frames that cost more than they bring. */
  costly: TokenBucket | undefined;
  #typingAtMs = 0;

  constructor(id: string, user: string, device: string, expiresAtMs: number, nowMs: number) {
    this.id = id;
    this.user = user;
    this.device = device;
    this.expiresAtMs = expiresAtMs;
    this.openedAtMs = nowMs;
  }

  /** Goes to a place in a generation: the welcome, or a reset. */
  goTo(gen: number, acked: number): void {
    this.gen = gen;
    this.acked = acked;
    this.ackPublished = acked;
    this.ackPosition = 0;
    this.expect = acked + 1;
    this.written = acked;
    this.waiting = undefined;
    this.held = undefined;
    this.unacked = [];
    this.unackedBytes = 0;
    this.behind = false;
    this.gapSinceMs = 0;
    this.drainedAt = undefined;
    this.timedSeq = 0;
  }

  /** Typing is ephemeral: more often than this it is dropped, not queued. */
  takesTyping(nowMs: number): boolean {
    if (nowMs - this.#typingAtMs < TYPING_EACH_MS) return false;
    this.#typingAtMs = nowMs;
    return true;
  }

  /** Takes an ack of everything up to `seq`. @returns the position that was sent at it, 0 where that was a gap. */
  takeAck(seq: number): number {
    let taken = 0;
    let position = 0;
    while (taken < this.unacked.length && this.unacked[taken]!.seq <= seq) {
      const frame = this.unacked[taken]!;
      this.unackedBytes -= frame.bytes;
      position = frame.seq === seq ? frame.position : 0;
      taken++;
    }
    if (taken === this.unacked.length) this.unacked = [];
    else this.unacked.splice(0, taken);
    this.acked = seq;
    return position;
  }
}
