import { type EntryFrame, type Frame, GAP_REASONS, isEntry, shapeProblem, type WelcomeFrame } from './frames.ts';

/** Which of the protocol's promises was broken; the verdict of a fault run counts by these. */
export type ViolationKind =
  | 'protocol'
  | 'order'
  | 'redelivered'
  | 'duplicate'
  | 'trimmed'
  | 'lost'
  | 'wrong recipient'
  | 'identity'
  | 'not settled'
  | 'memory'
  | 'nothing tested';
export type Violation = { kind: ViolationKind; detail: string };

/** What one device knows of one generation of its user's inbox. */
type Generation = {
  /** The place where the device first met it. */
  start: number;
  /** The furthest seq that the device has validly acked, and those beyond it by id or nack. */
  acked: number;
  skipped: Set<number>;
  /** The furthest `welcome.acked`. */
  confirmed: number;
  /** The furthest seq that came to the device. */
  received: number;
  seqOf: Map<string, number>;
  keyAt: Map<number, string>;
};

export type ConnectionState = {
  readonly name: string;
  readonly order: number;
  welcome: WelcomeFrame | undefined;
  gen: number;
  /** The next seq. */
  expect: number;
  drained: boolean;
  bye: boolean;
  /** Frames of a gap take no room in the window. */
  gapEnd: number;
};

const keyOf = (frame: { conversation: string; position: number }): string => `${frame.conversation} ${frame.position}`;

/** How far the device has dealt with all: acked, and beyond it what was nacked or acked alone. */
function passed({ acked, skipped }: Generation): number {
  let to = acked;
  while (skipped.has(to + 1)) to++;
  return to;
}

/**
 * What PROTOCOL.md promises one device over all of its connections and syncs, checked frame by frame. It has no clock and no
 * socket: tests put it behind a live client, the checker of the fault runs behind a recorded history.
 */
export class DeviceRules {
  readonly device: string;
  readonly violations: Violation[] = [];
  /** Every message and gap that came, by (conversation, position): how often, and in which order it came first. */
  readonly received = new Map<string, { firstOrder: number; times: number }>();
  /** Positions that a gap stood for, with its reason. */
  readonly gaps = new Map<string, string>();
  repeatsAfterReset = 0;
  readonly #generations = new Map<number, Generation>();
  readonly #firsts = new Map<string, number>();
  #order = 0;
  #newest = 0;

  constructor(device: string) {
    this.device = device;
  }

  opened(name: string): ConnectionState {
    this.#order++;
    return {
      name,
      order: this.#order,
      welcome: undefined,
      gen: -1,
      expect: 0,
      drained: false,
      bye: false,
      gapEnd: 0,
    };
  }

  /** One frame that came on a connection. */
  frame(connection: ConnectionState, frame: Frame): void {
    const problem = shapeProblem(frame);
    if (problem) return this.#report('protocol', connection, problem);
    if (connection.bye) this.#report('protocol', connection, `${frame.t} after bye`);
    if (frame.t === 'welcome') return this.#welcome(connection, frame as unknown as WelcomeFrame);
    if (!connection.welcome) return this.#report('protocol', connection, `${frame.t} before the welcome`);
    if (isEntry(frame)) return this.#entry(connection, frame as unknown as EntryFrame);
    if (frame.t === 'drained') return this.#drained(connection, frame.seq as number, frame.gen as number);
    if (frame.t === 'reset') return this.#reset(connection, frame.gen as number, frame.acked as number);
    if (frame.t === 'bye') connection.bye = true;
  }

  /** A page of `GET /v1/messages/sync`. */
  synced(name: string, reply: { gen: number; acked: number; tail: number; entries: Frame[] }): void {
    const at = this.opened(name);
    const gen = this.#meet(at, reply.gen, reply.acked);
    gen.confirmed = Math.max(gen.confirmed, reply.acked);
    at.gen = reply.gen;
    at.expect = reply.acked + 1;
    for (const frame of reply.entries) {
      const problem = shapeProblem(frame);
      if (problem || !isEntry(frame)) this.#report('protocol', at, `sync: ${problem ?? `${frame.t} is no entry`}`);
      else this.#entry(at, frame as unknown as EntryFrame, true);
    }
  }

  /** The device says that it has stored everything up to `seq`. What was never sent to it counts for nothing. */
  acked(gen: number, seq: number): void {
    const generation = this.#generations.get(gen);
    if (generation && seq <= generation.received && seq > generation.acked) generation.acked = seq;
  }

  /** It has dealt with one entry alone: by an ack of ids, or a nack. */
  skipped(gen: number, seq: number): void {
    this.#generations.get(gen)?.skipped.add(seq);
  }

  /** The seq of a message in a generation, for acks by id. */
  seqOf(gen: number, key: { conversation: string; position: number }): number | undefined {
    return this.#generations.get(gen)?.seqOf.get(keyOf(key));
  }

  has(key: { conversation: string; position: number }): boolean {
    return this.received.has(keyOf(key));
  }

  #welcome(connection: ConnectionState, frame: WelcomeFrame): void {
    if (connection.welcome) this.#report('protocol', connection, 'a second welcome');
    if (frame.acked > frame.tail) this.#report('protocol', connection, `acked ${frame.acked} > tail ${frame.tail}`);
    connection.welcome = frame;
    connection.gen = frame.gen;
    connection.expect = frame.acked + 1;
    connection.gapEnd = frame.acked;
    this.#newest = Math.max(this.#newest, connection.order);
    const generation = this.#meet(connection, frame.gen, frame.acked);
    if (frame.acked < generation.confirmed)
      this.#report(
        'redelivered',
        connection,
        `welcome.acked went back from ${generation.confirmed} to ${frame.acked} in generation ${frame.gen}`,
      );
    generation.confirmed = Math.max(generation.confirmed, frame.acked);
  }

  /** The generation as the device knows it; the server's cursor may not be beyond what the device has acked. */
  #meet(connection: ConnectionState, gen: number, acked: number): Generation {
    const known = this.#generations.get(gen);
    if (!known) {
      const generation: Generation = {
        start: acked,
        acked,
        skipped: new Set(),
        confirmed: acked,
        received: acked,
        seqOf: new Map(),
        keyAt: new Map(),
      };
      this.#generations.set(gen, generation);
      return generation;
    }
    const allowed = passed(known);
    if (acked > allowed)
      this.#report(
        'trimmed',
        connection,
        `the server's cursor is ${acked} in generation ${gen}, the device has acked ${allowed} only`,
      );
    return known;
  }

  #reset(connection: ConnectionState, gen: number, acked: number): void {
    if (gen === connection.gen) this.#report('protocol', connection, `reset to the same generation ${gen}`);
    connection.gen = gen;
    connection.expect = acked + 1;
    connection.gapEnd = acked;
    this.#meet(connection, gen, acked);
  }

  #drained(connection: ConnectionState, seq: number, gen: number): void {
    const { welcome } = connection;
    if (connection.drained) this.#report('protocol', connection, 'a second drained');
    connection.drained = true;
    if (gen !== connection.gen) this.#report('protocol', connection, `drained of generation ${gen}`);
    if (seq > connection.expect - 1)
      this.#report('order', connection, `drained at ${seq}, but only ${connection.expect - 1} came`);
    if (welcome?.gen === gen && seq < welcome.tail)
      this.#report('order', connection, `drained at ${seq}, below welcome.tail ${welcome.tail}`);
  }

  #entry(connection: ConnectionState, frame: EntryFrame, sync = false): void {
    const first = frame.t === 'gap' ? frame.from : frame.seq;
    if (frame.gen !== connection.gen)
      return this.#report('protocol', connection, `${frame.t} of generation ${frame.gen}, not ${connection.gen}`);
    if (first !== connection.expect)
      this.#report('order', connection, `seq ${first} came where ${connection.expect} was due (${frame.t})`);
    connection.expect = frame.seq + 1;
    const generation = this.#generations.get(frame.gen)!;
    generation.received = Math.max(generation.received, frame.seq);
    if (frame.t === 'gap') this.#gap(connection, frame);
    if (!sync) this.#window(connection, generation, frame.seq);
    // A tombstone shows the position of what it deletes, which has its own place.
    if (frame.t === 'deleted') return;
    const { conversation, position } = frame as { conversation?: string; position?: number };
    if (conversation === undefined || position === undefined) return;
    if (frame.t === 'gap') this.gaps.set(keyOf({ conversation, position }), frame.reason);
    this.#place(connection, generation, frame, { conversation, position });
    if (frame.t !== 'gap') this.#first(connection, frame, { conversation, position }, sync);
  }

  #gap(connection: ConnectionState, frame: Extract<EntryFrame, { t: 'gap' }>): void {
    connection.gapEnd = frame.to;
    if (frame.seq !== frame.to || frame.count !== frame.to - frame.from + 1 || !GAP_REASONS.includes(frame.reason))
      this.#report('protocol', connection, `a gap that does not add up: ${JSON.stringify(frame)}`);
  }

  #window(connection: ConnectionState, generation: Generation, seq: number): void {
    const unacked = seq - Math.max(passed(generation), connection.gapEnd);
    const window = connection.welcome?.window ?? 0;
    if (unacked > window) this.#report('protocol', connection, `${unacked} entries unacked, the window is ${window}`);
  }

  /** One message has one seq in a generation, and one seq one message. */
  #place(
    connection: ConnectionState,
    generation: Generation,
    frame: EntryFrame,
    where: { conversation: string; position: number },
  ): void {
    const key = keyOf(where);
    const seq = generation.seqOf.get(key);
    if (seq !== undefined && seq !== frame.seq)
      this.#report('duplicate', connection, `${key} is seq ${seq} and seq ${frame.seq} of generation ${frame.gen}`);
    const other = generation.keyAt.get(frame.seq);
    if (other !== undefined && other !== key)
      this.#report('order', connection, `seq ${frame.seq} of generation ${frame.gen} was ${other} and is ${key}`);
    generation.seqOf.set(key, frame.seq);
    generation.keyAt.set(frame.seq, key);
  }

  #first(
    connection: ConnectionState,
    frame: EntryFrame,
    where: { conversation: string; position: number },
    sync: boolean,
  ): void {
    const key = keyOf(where);
    const before = this.received.get(key);
    if (before) {
      before.times++;
      if (frame.t === 'message' && !frame.replayed && before.firstOrder < connection.order)
        this.#report('protocol', connection, `${key} was sent to this device before, and replayed is false`);
      return;
    }
    this.received.set(key, { firstOrder: connection.order, times: 1 });
    const last = this.#firsts.get(where.conversation) ?? -1;
    // A connection that was replaced may still be read; the order of first deliveries is that of the newest.
    if (where.position < last && (sync || connection.order === this.#newest))
      this.#report('order', connection, `${key} came first after position ${last} of the same conversation`);
    this.#firsts.set(where.conversation, Math.max(last, where.position));
  }

  #report(kind: ViolationKind, connection: ConnectionState, detail: string): void {
    this.violations.push({ kind, detail: `${this.device} on ${connection.name}: ${detail}` });
  }
}
