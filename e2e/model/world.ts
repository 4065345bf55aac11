import { type BrokenKind, Checker } from './checker.ts';
import { CLOCK_SHIFT, type RunConfig } from './config.ts';
import { Cursors } from './cursors.ts';
import { Device } from './device.ts';
import { Due } from './due.ts';
import { Dynamo } from './dynamo.ts';
import { type FaultClass, FaultPlan } from './faults.ts';
import { Gateway } from './gateway.ts';
import { Kafka } from './kafka.ts';
import { STILL_MEMBER } from './membership.ts';
import { messagingWorker } from './messaging.ts';
import { notificationWorker } from './notification.ts';
import { Random } from './random.ts';
import type { ConversationName, User } from './records.ts';
import { Redis } from './redis.ts';
import type { RuleName } from './rules.ts';
import { Scheduler } from './scheduler.ts';
import { sender } from './sender.ts';

const FOR_EVER = 1e9;
/** Thirty days, on this scale, where a fault class is about them. */
const SHORT_RETENTION = 900;
const DEVICE_RETENTION = 1500;

/** Everything in one run: made top to bottom, by hand. */
export class World {
  readonly config: RunConfig;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly checker: Checker;
  readonly kafka: Kafka;
  readonly redis: Redis;
  readonly dynamo = new Dynamo();
  readonly cursors: Cursors;
  readonly due: Due;
  readonly plan: FaultPlan;
  readonly users: User[];
  readonly devices: Device[] = [];
  gateways: Gateway[] = [];
  readonly broken: { kind: BrokenKind; text: string }[] = [];
  readonly trace: string[] = [];
  /** How often what happened: a run in which nothing did proves nothing. */
  readonly tally = new Map<string, number>();
  private ids = 0;
  private readonly faults: ReadonlySet<FaultClass>;
  private readonly without: ReadonlySet<RuleName>;

  constructor(config: RunConfig) {
    this.config = config;
    this.faults = new Set(config.faults);
    this.without = new Set(config.without);
    this.random = new Random(config.seed);
    this.scheduler = new Scheduler(this.random);
    this.users = Object.keys(config.shape.users);
    this.checker = new Checker(this);
    this.kafka = new Kafka(this);
    this.redis = new Redis(this);
    this.cursors = new Cursors(this);
    this.due = new Due(this);
    this.makeConversations();
    this.kafka.subscribe('incoming', 'messaging', messagingWorker(this));
    this.kafka.subscribe('events', 'notification', notificationWorker(this));
    for (const name of ['gateway-1', 'gateway-2']) this.startGateway(name);
    for (const n of [1, 2]) {
      this.startService('messaging', `messaging-${n}`);
      this.startService('notification', `notification-${n}`);
    }
    this.rebalanceAll();
    this.makeDevices();
    this.plan = new FaultPlan(this);
  }

  get calm(): boolean {
    return this.scheduler.calm;
  }

  get retention(): number {
    return this.fault('age') ? SHORT_RETENTION : FOR_EVER;
  }

  get deviceRetention(): number {
    return this.fault('expiry') ? DEVICE_RETENTION : FOR_EVER;
  }

  rule(name: RuleName): boolean {
    return !this.without.has(name);
  }

  fault(name: FaultClass): boolean {
    return this.faults.has(name);
  }

  log(text: string, detail?: unknown): void {
    if (this.config.trace)
      this.trace.push(`${this.scheduler.now} ${text}${detail === undefined ? '' : ` ${JSON.stringify(detail)}`}`);
  }

  /** The first of each kind. */
  fail(kind: BrokenKind, text: string): void {
    if (this.broken.some((broken) => broken.kind === kind)) return;
    this.broken.push({ kind, text });
    this.log(`!!! ${kind}: ${text}`);
  }

  count(what: string): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + 1);
  }

  nextId(): number {
    return ++this.ids;
  }

  /** Random, as DESIGN.md's: which of two came first can't be told. */
  newGeneration(): number {
    return this.random.integer(1, 2 ** 31) * 1000 + (this.nextId() % 1000);
  }

  randomClockOffset(): number {
    return this.random.integer(-CLOCK_SHIFT, CLOCK_SHIFT);
  }

  lossIsNear(): boolean {
    return this.plan.lossIsNear();
  }

  devicesOf(user: User): Device[] {
    return this.devices.filter((device) => device.user === user);
  }

  conversationsOf(user: User): ConversationName[] {
    return Object.entries(this.config.shape.conversations).flatMap(([conversation, users]) =>
      users.includes(user) ? [conversation] : [],
    );
  }

  startGateway(name: string): void {
    const gateway = new Gateway(this, name);
    if (this.fault('clocks')) gateway.process.clockOffset = this.randomClockOffset();
    this.gateways.push(gateway);
  }

  replaceGateway(gateway: Gateway): void {
    this.gateways = this.gateways.filter((other) => other !== gateway);
    this.startGateway(gateway.process.name);
  }

  startService(kind: 'messaging' | 'notification', name: string): void {
    const process = this.scheduler.process(kind, name);
    if (this.fault('clocks')) process.clockOffset = this.randomClockOffset();
    if (kind === 'messaging') return;
    this.scheduler.spawn(process, this.cursors.flusher(process));
    this.scheduler.spawn(process, this.due.worker(process));
  }

  rebalanceAll(): void {
    this.kafka.rebalance('incoming');
    this.kafka.rebalance('events');
  }

  private makeConversations(): void {
    for (const [conversation, users] of Object.entries(this.config.shape.conversations)) {
      this.checker.begin(conversation, users);
      this.dynamo.intervals.set(
        conversation,
        new Map(users.map((user) => [user, [{ joined: -1, left: STILL_MEMBER }]])),
      );
    }
  }

  private makeDevices(): void {
    const clients = this.scheduler.process('clients', 'clients');
    for (const [user, count] of Object.entries(this.config.shape.users)) {
      for (let i = 0; i < count; i++) {
        const isLate = this.config.shape.lateDevices && i > 0;
        const device = new Device(this, user, `${user}${i}`, this.random.integer(0, isLate ? 1500 : 30));
        this.devices.push(device);
        this.scheduler.spawn(clients, device.run());
        this.scheduler.spawn(clients, sender(this, device));
      }
    }
  }
}
