import { hash } from './kafka.ts';
import type { ConnectionId, ConversationName, DeviceName, Entry, User } from './records.ts';
import type { Process, Steps } from './scheduler.ts';
import type { World } from './world.ts';

export type Inbox = {
  generation: number;
  /** Identity of the store that holds it: another one means that this memory may have gone back in time (decision 10). */
  store: string;
  partial: boolean;
  base: number;
  tail: number;
  entries: Entry[];
  cursors: Record<DeviceName, number>;
  /** Where a device starts that was made here, until its row says the same. */
  noted: Record<DeviceName, number[] | 'first'>;
  /** When each device was last seen, by Redis. */
  seen: Record<DeviceName, number>;
  /** Seqs beyond the cursor that count as acked once what is before them is: by id over HTTP, or nacked. */
  beyond: Record<DeviceName, Record<number, 'acked' | 'nacked'>>;
  suspects: Record<DeviceName, { seq: number; ends: number; connections: number; since: number }>;
  /** Last position enqueued from each source partition (decision 8). */
  lastEnqueued: Record<number, number>;
  /** Up to where the cap took entries unacked, and how far that goes in each conversation. */
  overflowTo: number;
  overflowed: Record<ConversationName, number>;
  /** Up to where entries were trimmed for their age. */
  agedTo: number;
  expiresAt: number;
  probes: number;
};
export type Session = {
  slot: number;
  lease: number;
  device: DeviceName;
  since: number;
  mode: 'draining' | 'live';
  sent: number | undefined;
};
export type Claim = { conversation: ConversationName; position: number; content: number };

/** Up to which record of a partition its claims are in this memory, and who last claimed them again. */
export type Mark = { store: string; upTo: number; reader: number };

export type RedisState = {
  inboxes: Record<User, Inbox>;
  sessions: Record<User, Record<ConnectionId, Session>>;
  /** Acked positions until the durable cursors have them: user → device → conversation → position. */
  dirty: Record<User, Record<DeviceName, Record<ConversationName, number>>>;
  locks: Record<User, { token: number; expiresAt: number; store: string }>;
  /** Sender → message id → its first position. */
  dedupe: Record<User, Record<string, Claim>>;
  /** Node → source partition → up to which record its claims are in this memory. */
  marks: Record<number, Record<number, Mark>>;
  slots: Record<number, { lease: number; expiresAt: number }>;
  /** User → when somebody must look. */
  due: Record<User, number>;
  /** The stores for which the due queue was filled again, and who is at it. */
  seeded: string;
  seeding: number;
};

/** What a script sees: the data of its node, the store's identity as its caller knows it, and the time. */
export type Script = { state: RedisState; node: number; store: string; now: number };

const OF_USER = ['inboxes', 'sessions', 'dirty', 'locks', 'dedupe'] as const;
/** Users by hash over the first two; leases and the due queue on the third. */
const NODES = 3;
const SHARED_NODE = 2;
const KEPT_SNAPSHOTS = 40;
const LONGEST_OUTAGE = 120;

const empty = (): RedisState => ({
  inboxes: {},
  sessions: {},
  dirty: {},
  locks: {},
  dedupe: {},
  marks: {},
  slots: {},
  due: {},
  seeded: '',
  seeding: 0,
});

/** Redis, as a cluster of three nodes. A script is one atomic step on one node; a failover brings back an older state. */
export class Redis {
  state = empty();
  /** When memory was lost, for the checker. */
  readonly losses: number[] = [];
  clockOffset = 0;
  private readonly runs: number[] = Array.from({ length: NODES }, () => 1);
  /** The runs that connections have read: behind `runs` while a node is away. */
  private known: number[] = [...this.runs];
  private awayUntil = 0;
  /** Until when callers believe in the identity that they read before. */
  private staleUntil = 0;
  private snapshots: string[] = [];
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  /** Runs a script at a user's keys. */
  forUser<T>(process: Process, user: User, label: string, script: (at: Script) => T): Steps<T> {
    return this.call(process, this.nodeOf(user), `${label} ${user}`, script);
  }

  /** Runs a script at the leases or the due queue. */
  shared<T>(process: Process, label: string, script: (at: Script) => T): Steps<T> {
    return this.call(process, SHARED_NODE, label, script);
  }

  /** Identity of the store that holds a user's keys, as of the last connection to it. */
  storeOf(user: User): string {
    return this.identity(this.nodeOf(user));
  }

  /** Identities of all stores. */
  stores(): string {
    return this.known.join('.');
  }

  nodeOf(user: User): number {
    return hash(user) % SHARED_NODE;
  }

  private identity(node: number): string {
    return `${node}.${this.known[node]}`;
  }

  private *call<T>(process: Process, node: number, label: string, script: (at: Script) => T): Steps<T> {
    const { scheduler } = this.world;
    const storeAtCall = this.identity(node);
    const callerTime = scheduler.now + process.clockOffset;
    yield;
    if (scheduler.now < this.awayUntil) yield () => scheduler.now >= this.awayUntil;
    this.reconnect();
    if (this.world.lossIsNear()) this.keepSnapshot();
    const reply = script({
      state: this.state,
      node,
      store: this.world.rule('freshStore') ? this.identity(node) : storeAtCall,
      now: this.world.rule('redisTime') ? scheduler.now + this.clockOffset : callerTime,
    });
    if (label !== '') this.world.log(`redis ${label}`, reply);
    return reply;
  }

  /** Whoever comes back after an outage reads the identity of what it is connected to now. */
  private reconnect(): void {
    if (this.world.scheduler.now >= this.staleUntil) this.known = [...this.runs];
  }

  private keepSnapshot(): void {
    this.snapshots.push(JSON.stringify(this.state));
    if (this.snapshots.length > KEPT_SNAPSHOTS) this.snapshots.shift();
  }

  private takeSnapshot(): { state: RedisState; age: number } | undefined {
    if (this.snapshots.length === 0) return undefined;
    const age = this.world.random.integer(1, this.snapshots.length);
    const text = this.snapshots[this.snapshots.length - age] as string;
    this.snapshots = [];
    return { state: JSON.parse(text) as RedisState, age };
  }

  /** FLUSHALL, or a restart without its data: everything is gone, and the run id may be the same. */
  flushAll(): void {
    this.state = empty();
    if (this.world.random.chance(0.5))
      this.runs.forEach((run, node) => {
        this.runs[node] = run + 1;
      });
    this.reconnect();
    this.snapshots = [];
    this.losses.push(this.world.scheduler.now);
  }

  /** Replicas take over on every node, without the last writes; scripts under way wait and are sent again. */
  failOver(): void {
    const snapshot = this.takeSnapshot();
    if (snapshot) {
      this.state = snapshot.state;
      this.losses.push(this.world.scheduler.now);
      this.world.log(`lost the last ${snapshot.age} scripts`);
    }
    this.runs.forEach((run, node) => {
      this.runs[node] = run + 1;
    });
    this.goAway();
  }

  /** One node fails over without its last writes, the others don't. */
  failShard(): void {
    const snapshot = this.takeSnapshot();
    if (!snapshot) return;
    const node = this.world.random.integer(0, NODES - 1);
    if (node === SHARED_NODE) {
      const { due, slots, seeded, seeding } = snapshot.state;
      Object.assign(this.state, { due, slots, seeded, seeding });
    } else {
      for (const part of OF_USER) {
        const users = new Set([...Object.keys(this.state[part]), ...Object.keys(snapshot.state[part])]);
        for (const user of users)
          if (this.nodeOf(user) === node) restore<unknown>(this.state[part], snapshot.state[part], user);
      }
      restore(this.state.marks, snapshot.state.marks, node);
    }
    this.runs[node] = (this.runs[node] ?? 0) + 1;
    this.losses.push(this.world.scheduler.now);
    this.world.log(`node ${node} lost the last ${snapshot.age} scripts`);
    this.goAway();
  }

  private goAway(): void {
    const { random, scheduler } = this.world;
    this.awayUntil = scheduler.now + random.integer(0, LONGEST_OUTAGE);
    this.staleUntil = this.awayUntil + (this.world.rule('freshStore') ? 0 : random.integer(0, LONGEST_OUTAGE));
    if (this.world.fault('clocks')) this.clockOffset = this.world.randomClockOffset();
  }
}

function restore<T>(into: Record<string | number, T>, from: Record<string | number, T>, key: string | number): void {
  const value = from[key];
  if (value === undefined) delete into[key];
  else into[key] = value;
}
