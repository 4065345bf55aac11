import { HEARTBEAT, POISON_CONNECTION_TICKS } from './config.ts';
import { type CloseReason, Connection, type ServerFrame } from './connection.ts';
import { pull } from './http.ts';
import { hash } from './kafka.ts';
import { type DeviceName, type Entry, isGap, type User } from './records.ts';
import type { Steps } from './scheduler.ts';
import type { World } from './world.ts';

/** How a device acks on one connection. */
type Habit = 'good' | 'late' | 'never' | 'partial';
const HABITS: readonly Habit[] = ['good', 'good', 'good', 'late', 'never', 'partial'];
const HANDSHAKE_TIMEOUT = HEARTBEAT;

/** One installation of the app: keeps what it stored across connections, acks by its habit of the day, reconnects. */
export class Device {
  readonly user: User;
  readonly name: DeviceName;
  /** Ids of the entries that it has stored. */
  readonly stored = new Set<string>();
  /** Ids of the entries that it refused. */
  readonly nacked = new Set<string>();
  readonly answered = new Map<string, { position: number } | 'rejected'>();
  readonly accepted = new Set<string>();
  connection: Connection | undefined;
  /** Gone for good, or until this time. */
  absentUntil = 0;
  lastOnlineAt = 0;
  connectedAt = 0;
  drained = 0;
  /** Told never to come back (4003). */
  exiled = false;
  generation: number | undefined;
  lastSeq = 0;
  ackedSeq = 0;
  private readonly world: World;
  private readonly startsAt: number;
  private habit: Habit = 'good';
  private ackAt: number | undefined;
  private woken = false;
  private mustReconnect = false;
  private dyingAt: number | undefined;

  constructor(world: World, user: User, name: DeviceName, startsAt: number) {
    this.world = world;
    this.user = user;
    this.name = name;
    this.startsAt = startsAt;
  }

  get isAbsent(): boolean {
    return this.world.scheduler.now < this.absentUntil;
  }

  get isOnline(): boolean {
    return this.connection?.isOpen === true && this.connection.generation !== undefined;
  }

  /** A push. */
  wake(): void {
    if (!this.connection) this.woken = true;
  }

  reconnect(): void {
    this.mustReconnect = true;
  }

  /** Leaves its connection: cleanly, or so that the gateway finds out by its heartbeat only. */
  leave(how: 'clean' | 'half-open'): void {
    const { connection } = this;
    if (!connection) return;
    this.connection = undefined;
    this.lastOnlineAt = this.world.scheduler.now;
    this.dyingAt = undefined;
    if (how === 'clean') connection.clientClosed = true;
    else connection.clientGoneAt = this.world.scheduler.now;
    this.world.log(`${this.name} leaves ${connection.id}`, how);
  }

  *run(): Steps {
    yield this.startsAt;
    while (!this.exiled) {
      if (this.connection) yield* this.useConnection(this.connection);
      else if (this.world.fault('http') && !this.world.calm && this.world.random.chance(0.5)) yield* this.pullAll();
      else yield* this.connect();
    }
  }

  /** Comes back after a while, or when a push wakes it. */
  private *comeBack(): Steps<boolean> {
    const { random, scheduler } = this.world;
    if (!this.isAbsent && !this.world.calm) {
      const until = scheduler.now + random.integer(0, 500);
      this.woken = false;
      yield () => this.world.calm || scheduler.now >= until || this.woken;
    }
    if (!this.isAbsent) return true;
    yield 50;
    return false;
  }

  /** Without a socket, until nothing is left. */
  private *pullAll(): Steps {
    if (!(yield* this.comeBack())) return;
    this.world.checker.onConnecting(this);
    while (!this.isAbsent && !this.world.calm && (yield* pull(this.world, this)));
  }

  private *connect(): Steps {
    const { random } = this.world;
    if (!(yield* this.comeBack())) return;
    const ready = this.world.gateways.filter((gateway) => gateway.ready);
    if (ready.length === 0) {
      yield 20;
      return;
    }
    const gateway = random.pick(ready);
    this.world.checker.onConnecting(this);
    this.connection = new Connection(this.world, gateway, this.user, this.name);
    this.connectedAt = this.world.scheduler.now;
    this.generation = undefined;
    this.lastSeq = 0;
    this.ackedSeq = 0;
    this.ackAt = undefined;
    this.dyingAt = undefined;
    this.drained = 0;
    this.habit = this.world.calm ? 'good' : random.pick(HABITS);
    this.world.log(`${this.name} connects ${this.connection.id} at ${gateway.process.name}, acks ${this.habit}`);
    gateway.open(this.connection);
  }

  private *useConnection(connection: Connection): Steps {
    const { scheduler, random } = this.world;
    const { process } = connection.gateway;
    yield () => this.connection !== connection || this.mustReconnect || this.hasSomethingToDo(connection);
    if (this.connection !== connection) return;
    if (this.world.calm) this.habit = 'good';
    if (this.mustReconnect || (this.dyingAt !== undefined && this.dyingAt <= scheduler.now)) {
      this.mustReconnect = false;
      this.leave('clean');
      return;
    }
    const frame = connection.toClient.shift();
    if (frame) this.onFrame(frame);
    else if (connection.closedBecause || !process.alive) {
      yield random.integer(1, this.world.calm ? 20 : 200);
      if (this.connection === connection) this.onClosed(connection.closedBecause);
      return;
    } else if (process.pausedUntil > scheduler.now) {
      yield* this.waitForPaused(connection);
      return;
    }
    this.ackIfDue(connection);
  }

  private hasSomethingToDo(connection: Connection): boolean {
    const { now } = this.world.scheduler;
    const { process } = connection.gateway;
    return (
      connection.toClient.length > 0 ||
      connection.closedBecause !== undefined ||
      !process.alive ||
      process.pausedUntil > now ||
      (this.world.calm && this.habit !== 'good') ||
      (this.ackAt !== undefined && this.ackAt <= now) ||
      (this.dyingAt !== undefined && this.dyingAt <= now)
    );
  }

  /** No pong: after the heartbeat the client gives the socket up, and the gateway may wake up with it later. */
  private *waitForPaused(connection: Connection): Steps {
    const { scheduler } = this.world;
    const { process } = connection.gateway;
    const until = scheduler.now + HANDSHAKE_TIMEOUT;
    yield () => scheduler.now >= until || connection.toClient.length > 0 || scheduler.now >= process.pausedUntil;
    if (scheduler.now >= until && process.pausedUntil > scheduler.now && this.connection === connection)
      this.leave('half-open');
  }

  private onClosed(reason: CloseReason | undefined): void {
    this.connection = undefined;
    this.lastOnlineAt = this.world.scheduler.now;
    this.world.log(`${this.name} sees that it is closed`, reason);
    if (reason !== 'replaced') return;
    this.exiled = true;
    this.world.fail('exiled', `${this.name} was told 4003 on its only connection`);
  }

  private onFrame(frame: ServerFrame): void {
    const { checker } = this.world;
    if (frame.t === 'accepted') this.accepted.add(frame.id);
    else if (frame.t === 'stored') this.answered.set(frame.id, { position: frame.position });
    else if (frame.t === 'rejected') this.answered.set(frame.id, 'rejected');
    else if (frame.t === 'drained') {
      this.drained++;
      if (this.drained > 1) this.world.fail('drained', `${this.name} is drained twice on one connection`);
    } else if (frame.t === 'entry') this.onEntry(frame);
    else {
      this.world.log(`${this.name} gets ${frame.t}`, frame);
      this.generation = frame.generation;
      this.lastSeq = frame.acked;
      this.ackedSeq = frame.acked;
      checker.onConfirmed(this, frame.generation, frame.acked);
      this.connection?.fromClient.push({ t: 'pong' });
    }
  }

  private onEntry(frame: Extract<ServerFrame, { t: 'entry' }>): void {
    const { random, scheduler, checker } = this.world;
    if (this.dyingAt !== undefined) return;
    const { entry, generation } = frame;
    this.world.log(`${this.name} gets ${generation}/${entry.seq}`, isGap(entry) ? entry : entry.id);
    checker.onDelivered(this, generation, this.lastSeq, entry);
    this.lastSeq = entry.seq;
    if (!isGap(entry)) {
      if (this.diesOf(entry)) {
        // It has stored and acked what came before, and is gone before it could ack this.
        this.lastSeq = entry.seq - 1;
        if (this.ackAt !== undefined) this.ackAt = Math.min(this.ackAt, scheduler.now);
        this.dyingAt = scheduler.now + random.integer(POISON_CONNECTION_TICKS, POISON_CONNECTION_TICKS + 40);
        return;
      }
      if (this.refuses(entry)) {
        this.nacked.add(entry.id);
        this.connection?.fromClient.push({ t: 'nack', generation, seq: entry.seq });
      } else this.store(entry);
    }
    if (this.ackAt === undefined && this.habit !== 'never')
      this.ackAt = scheduler.now + (this.habit === 'late' ? random.integer(50, 600) : random.integer(0, 20));
  }

  /** Saved first, acked after. */
  store(entry: Entry): void {
    this.stored.add(entry.id);
  }

  private diesOf(entry: Entry): boolean {
    return this.world.fault('poison') && isOneIn(120, `${this.name} dies of ${entry.id}`);
  }

  private refuses(entry: Entry): boolean {
    return this.world.fault('nack') && isOneIn(5, `${this.name} refuses ${entry.id}`);
  }

  private ackIfDue(connection: Connection): void {
    const { random, scheduler } = this.world;
    const { generation, lastSeq } = this;
    if (this.ackAt !== undefined && this.ackAt <= scheduler.now) {
      this.ackAt = undefined;
      if (generation !== undefined && lastSeq > this.ackedSeq) {
        const seq = this.habit === 'partial' && lastSeq > 1 ? random.integer(this.ackedSeq + 1, lastSeq) : lastSeq;
        connection.fromClient.push({ t: 'ack', generation, seq });
        this.ackedSeq = seq;
        if (seq < lastSeq) this.ackAt = scheduler.now + random.integer(20, 200);
      }
    }
    if (this.world.calm && generation !== undefined && lastSeq > this.ackedSeq) this.ackAt ??= scheduler.now;
  }
}

/** Always the same answer for the same text: what a device can't take today it can't take tomorrow. */
const isOneIn = (count: number, text: string): boolean =>
  ((Math.imul(hash(text), 0x9e3779b1) >>> 16) * count) >>> 16 === 0;
