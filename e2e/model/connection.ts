import { DEVICE_WINDOW, HEARTBEAT } from './config.ts';
import type { Gateway } from './gateway.ts';
import {
  type ConnectionId,
  type DeviceName,
  type Gap,
  type Hint,
  isGap,
  type PageEntry,
  type User,
  type UserEvent,
} from './records.ts';
import type { Steps } from './scheduler.ts';
import { connect, disconnect } from './session-scripts.ts';
import type { World } from './world.ts';

export type ClientFrame =
  | { t: 'send'; id: string; conversation: string; content: number; ttl: number | undefined }
  | { t: 'delete'; id: string; conversation: string; target: number }
  | { t: 'pong' }
  | { t: 'ack'; generation: number; seq: number }
  | { t: 'nack'; generation: number; seq: number };
export type EntryFrame = { generation: number; entry: PageEntry };
export type ServerFrame =
  | { t: 'welcome' | 'reset'; generation: number; acked: number; tail: number }
  | ({ t: 'entry' } & EntryFrame)
  | { t: 'drained' }
  | { t: 'accepted'; id: string }
  | { t: 'stored'; id: string; position: number }
  | { t: 'rejected'; id: string; code: string };
/** A gap has no position that an ack could agree with. */
const UNCHECKED = -1;

export type CloseReason = 'replaced' | 'refill' | 'lease' | 'reassert' | 'gone';

/** One socket, at its gateway: what was written to it, and what is held until the seqs before it have come. */
export class Connection {
  readonly id: ConnectionId;
  readonly asker: { user: User; device: DeviceName; connection: ConnectionId; slot: number; lease: number };
  readonly gateway: Gateway;
  readonly fromClient: ClientFrame[] = [];
  readonly toClient: ServerFrame[] = [];
  isOpen = true;
  isRegistered = false;
  closedBecause: CloseReason | undefined;
  /** Set by the client: closed cleanly, or gone without a word. */
  clientClosed = false;
  clientGoneAt: number | undefined;
  generation: number | undefined;
  private readonly world: World;
  private expected = 0;
  private readonly held = new Map<number, PageEntry>();
  private stash: Hint[] = [];
  /** Seq → place of what was written and is unacked: what an ack must agree with (decision 14). */
  private readonly written = new Map<number, { position: number; id: string }>();
  private lastAck: { generation: number; seq: number; position: number } | undefined;
  private acked = 0;
  /** Where the backlog ends, once that is known. */
  private backlogEnd: number | undefined;
  private drainedSent = false;
  private replaced: { connection: ConnectionId; slot: number }[] = [];
  /** When an entry or the end of the backlog came, or was asked for. */
  private heardAt = 0;
  private behind = false;
  private lookedAt: { expected: number; generation: number | undefined } = { expected: -1, generation: undefined };

  constructor(world: World, gateway: Gateway, user: User, device: DeviceName) {
    this.world = world;
    this.gateway = gateway;
    this.id = `${device}#${world.nextId()}`;
    this.asker = { user, device, connection: this.id, slot: gateway.slot as number, lease: gateway.lease };
  }

  /** Registers, welcomes where Redis knows how the device stands, and then takes frames one by one until the end. */
  *run(): Steps {
    const { kafka, redis, scheduler } = this.world;
    const { user } = this.asker;
    const { replaced, standing } = yield* redis.forUser(this.gateway.process, user, `connect ${this.id} of`, (at) =>
      connect(this.world, at, this.asker),
    );
    this.isRegistered = true;
    this.replaced = replaced;
    if (!this.world.rule('replacedByLiving')) yield* this.closeReplaced();
    if (standing) this.apply({ connection: this.id, generation: standing.generation, welcome: standing });
    // What the inbox can't note is durable at once: a rebuild may be over before anybody handles what comes next.
    else if (this.world.rule('seenRefreshed')) this.gateway.refreshSeen(this);
    yield;
    this.publishConnected();
    while (this.isOpen) {
      yield () => this.fromClient.length > 0 || this.clientClosed || !this.isOpen || this.clientIsDead(scheduler.now);
      const frame = this.isOpen ? this.fromClient.shift() : undefined;
      if (!frame) break;
      yield* this.take(frame);
    }
    this.isOpen = false;
    yield* redis.forUser(this.gateway.process, user, `disconnect ${this.id} of`, (at) =>
      disconnect(this.world, at, this.asker),
    );
    this.gateway.connections.delete(this.id);
    kafka.appendEvent({ t: 'user_disconnected', ...this.session() });
  }

  /** A client that has gone meanwhile must not send away the connection that it has now: 4003 waits for a sign of life. */
  private *closeReplaced(): Steps {
    const replaced = this.replaced;
    this.replaced = [];
    for (const { connection, slot } of replaced) {
      yield;
      this.world.kafka.appendHint(slot, { connection, generation: 0, close: 'replaced' });
    }
  }

  close(reason: CloseReason): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.closedBecause = reason;
    this.world.log(`close ${this.id}`, reason);
  }

  /**
   * Asks again where nothing came of what it asked for (decision 13): for its welcome by `user_connected`, and after that for
   * the end of the backlog by `refill`, which alone says what is missing: a late ack of the connection before may have moved
   * the cursor beyond what the welcome said.
   */
  askAgain(silentSince: number): boolean {
    if (!this.isRegistered || this.drainedSent || this.heardAt >= silentSince) return false;
    if (this.generation === undefined && this.world.rule('connectedAgain')) this.publishConnected();
    else if (this.generation !== undefined && this.world.rule('drainedAwaited')) this.publishRefill();
    else return false;
    return true;
  }

  publishConnected(): void {
    this.heardAt = this.world.scheduler.now;
    this.world.kafka.appendEvent({ t: 'user_connected', ...this.session() });
  }

  /** Whether something is missing, and nothing has come since the last look. */
  isStuck(): boolean {
    const { expected, generation } = this;
    const same = this.lookedAt.expected === expected && this.lookedAt.generation === generation;
    this.lookedAt = { expected, generation };
    return generation !== undefined && same && (this.held.size > 0 || this.behind);
  }

  publishRefill(): void {
    this.behind = false;
    this.heardAt = this.world.scheduler.now;
    if (this.generation === undefined) return;
    this.publish({ t: 'refill', ...this.session(), generation: this.generation, from: this.expected });
  }

  /** What notification or messaging says of this connection. */
  apply(hint: Hint): void {
    if (!this.isOpen) return;
    if (hint.close) this.close(hint.close);
    else if (hint.answer) this.toClient.push(hint.answer);
    else if (this.generation === undefined && !hint.welcome) this.stash.push(hint);
    else if (hint.probe) this.onProbe(hint, hint.probe.tail);
    else this.onPage(hint);
  }

  private onPage(hint: Hint): void {
    const first = this.generation === undefined;
    if (first && hint.welcome) this.begin('welcome', hint.generation, hint.welcome);
    else if (hint.reset && hint.generation !== this.generation) this.begin('reset', hint.generation, hint.reset);
    if (hint.generation !== this.generation) {
      // Newer or older can't be told: whoever answers the refill knows which one is the inbox's.
      if (this.world.rule('probe')) this.behind = true;
      return;
    }
    for (const entry of hint.page ?? []) if (entry.seq >= this.expected) this.held.set(entry.seq, entry);
    this.write();
    if (hint.drained !== undefined) this.backlogEnd = hint.drained;
    this.drain();
    if (!first) return;
    const stash = this.stash;
    this.stash = [];
    for (const waiting of stash) this.apply(waiting);
  }

  private begin(t: 'welcome' | 'reset', generation: number, standing: { acked: number; tail: number }): void {
    this.generation = generation;
    this.expected = standing.acked + 1;
    this.acked = standing.acked;
    this.backlogEnd = undefined;
    this.held.clear();
    this.written.clear();
    this.lastAck = undefined;
    this.toClient.push({ t, generation, ...standing });
  }

  /** Writes what comes next, in strictly growing seq, as far as the device has room for it, and holds what comes later. */
  private write(): void {
    while ([...this.written.keys()].filter((seq) => seq > this.acked).length < DEVICE_WINDOW) {
      const entry = this.held.get(this.expected) ?? this.gapOver(this.expected);
      if (!entry) return;
      this.heardAt = this.world.scheduler.now;
      this.toClient.push({
        t: 'entry',
        generation: this.generation as number,
        entry: isGap(entry) ? { ...entry, from: this.expected } : entry,
      });
      this.written.set(entry.seq, isGap(entry) ? { position: UNCHECKED, id: '' } : entry);
      this.expected = entry.seq + 1;
      for (const seq of [...this.held.keys()]) if (seq < this.expected) this.held.delete(seq);
    }
  }

  private gapOver(seq: number): Gap | undefined {
    for (const entry of this.held.values()) if (isGap(entry) && entry.from <= seq && entry.seq >= seq) return entry;
    return undefined;
  }

  /** Told once, and only when all that is before it is written. */
  private drain(): void {
    if (this.backlogEnd === undefined || this.expected <= this.backlogEnd) return;
    this.heardAt = this.world.scheduler.now;
    if (this.drainedSent) return;
    this.drainedSent = true;
    this.toClient.push({ t: 'drained' });
  }

  /**
   * How far the inbox goes: what was acked is said again, and what was not written is asked for. Both, for a lost ack can be
   * what keeps the window full (decision 15).
   */
  private onProbe(hint: Hint, tail: number): void {
    const same = hint.generation === this.generation;
    if (same && this.lastAck && this.world.rule('ackAgain'))
      this.publish({ t: 'acked', ...this.session(), ...this.lastAck });
    if (!same || this.expected <= tail) this.behind = true;
  }

  private *take(frame: ClientFrame): Steps {
    const { kafka } = this.world;
    yield;
    if (frame.t === 'send' || frame.t === 'delete') {
      const answerTo = { connection: this.id, slot: this.asker.slot };
      kafka.appendIncoming(this.gateway.process, { ...frame, from: this.asker.user, answerTo });
      yield;
      this.toClient.push({ t: 'accepted', id: frame.id });
      return;
    }
    yield* this.closeReplaced();
    if (frame.t === 'pong' || frame.generation !== this.generation || frame.seq >= this.expected) return;
    const written = this.written.get(frame.seq);
    if (!written) return;
    const said = { generation: frame.generation, seq: frame.seq, position: written.position };
    if (frame.t === 'nack') {
      this.publish({ t: 'nacked', ...this.session(), ...said, id: written.id });
      return;
    }
    for (const seq of [...this.written.keys()]) if (seq < frame.seq) this.written.delete(seq);
    this.lastAck = said;
    this.acked = Math.max(this.acked, frame.seq);
    this.publish({ t: 'acked', ...this.session(), ...said });
    this.write();
    this.drain();
  }

  private clientIsDead(now: number): boolean {
    return this.clientGoneAt !== undefined && now > this.clientGoneAt + HEARTBEAT;
  }

  private publish(event: UserEvent): void {
    this.world.kafka.appendEvent(event);
  }

  private session(): { user: User; device: DeviceName; connection: ConnectionId; slot: number } {
    const { user, device, connection, slot } = this.asker;
    return { user, device, connection, slot };
  }
}
