import type { World } from './world.ts';

/**
 * What goes wrong, or what happens that the rules are about. An ambient one is there all the time; the others strike at
 * moments that the seed picks.
 */
export const FAULTS = {
  offline: 'a device leaves, cleanly or half-open',
  hintloss: 'records of outgoing_messages are lost (ambient)',
  eventloss: 'records of user_events are lost, but for what a nack says (ambient)',
  zombie: 'rebalances, where the owner before goes on for a while',
  svccrash: 'SIGKILL of messaging or notification',
  svcpause: 'SIGSTOP of messaging or notification, past a rebalance',
  gwcrash: 'SIGKILL of a gateway',
  gwpause: 'SIGSTOP of a gateway, past its lease too',
  dynamo: 'writes to DynamoDB take long (ambient)',
  indexlag: 'an index of the memberships lags (ambient)',
  cap: 'inboxes are capped at a few entries (ambient)',
  age: 'entries and keys expire soon (ambient)',
  flushall: 'Redis is emptied',
  failover: 'Redis fails over and loses the last scripts',
  shard: 'one node of Redis fails over and loses its last scripts',
  absent: 'a device is away at the end (ambient)',
  clocks: 'clocks of processes and of Redis are off, and jump',
  expiry: 'a device is unseen for longer than its retention',
  nack: 'devices refuse some entries (ambient)',
  poison: 'devices die of some entries (ambient)',
  ttl: 'messages whose ttl runs out (ambient)',
  deletion: 'messages are deleted (ambient)',
  membership: 'members of groups come and go (ambient)',
  http: 'clients without a socket, and lost responses (ambient)',
  garbage: 'undecodable records',
} as const;
export type FaultClass = keyof typeof FAULTS;
export const FAULT_CLASSES = Object.keys(FAULTS) as FaultClass[];

const STRIKES: Partial<Record<FaultClass, (world: World) => void>> = {
  offline: (world) => world.random.pick(world.devices).leave(world.random.pick(['clean', 'half-open'])),
  zombie: (world) => world.kafka.rebalance(world.random.pick(['incoming', 'events'])),
  svccrash: crashService,
  svcpause: pauseService,
  gwcrash: crashGateway,
  gwpause: (world) => {
    const gateway = world.random.pick(world.gateways);
    gateway.process.pausedUntil = world.scheduler.now + world.random.integer(50, 900);
  },
  flushall: (world) => world.redis.flushAll(),
  failover: (world) => world.redis.failOver(),
  shard: (world) => world.redis.failShard(),
  clocks: (world) => {
    world.random.pick(world.scheduler.processes).clockOffset = world.randomClockOffset();
  },
  expiry: (world) => {
    const device = world.random.pick(world.devices);
    device.leave('clean');
    device.absentUntil = world.scheduler.now + world.deviceRetention + world.random.integer(50, 900);
  },
  garbage: (world) => {
    const conversation = world.random.pick(Object.keys(world.config.shape.conversations));
    const process = world.random.pick(world.gateways).process;
    world.kafka.appendIncoming(process, { t: 'garbage', from: '', id: `garbage.${world.nextId()}`, conversation });
  },
};
const LOSSES: readonly FaultClass[] = ['failover', 'shard'];
const NEAR = 120;

/** The strikes of one run, planned by the seed. */
export class FaultPlan {
  private readonly planned: { at: number; fault: FaultClass }[] = [];
  private timers: { at: number; run: () => void }[] = [];
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
    const striking = world.config.faults.filter((fault) => STRIKES[fault] !== undefined);
    const { faultCount, ticks } = world.config.shape;
    if (striking.length === 0) return;
    for (let i = 0; i < faultCount; i++)
      this.planned.push({ at: world.random.integer(100, ticks), fault: world.random.pick(striking) });
    this.planned.sort((a, b) => a.at - b.at);
  }

  after(ticks: number, run: () => void): void {
    this.timers.push({ at: this.world.scheduler.now + ticks, run });
  }

  lossIsNear(): boolean {
    const { now } = this.world.scheduler;
    return this.planned.some(({ at, fault }) => LOSSES.includes(fault) && at - now < NEAR);
  }

  tick(): void {
    const { now } = this.world.scheduler;
    for (let next = this.planned[0]; next && next.at <= now; next = this.planned[0]) {
      this.planned.shift();
      this.world.log(`*** ${next.fault}`);
      this.world.count(next.fault);
      STRIKES[next.fault]?.(this.world);
    }
    if (this.timers.length > 0) this.runTimers((timer) => timer.at <= now);
  }

  /** Nothing more goes wrong, and what was going to be repaired is repaired now. */
  end(): void {
    this.planned.length = 0;
    this.runTimers(() => true);
  }

  private runTimers(isDue: (timer: { at: number }) => boolean): void {
    const due = this.timers.filter(isDue);
    this.timers = this.timers.filter((timer) => !isDue(timer));
    for (const { run } of due) run();
  }
}

function crashGateway(world: World): void {
  const gateway = world.random.pick(world.gateways);
  world.scheduler.kill(gateway.process);
  world.plan.after(world.random.integer(20, 600), () => world.replaceGateway(gateway));
}

function crashService(world: World): void {
  const kind = world.random.pick(['messaging', 'notification'] as const);
  const topic = kind === 'messaging' ? 'incoming' : 'events';
  const alive = world.scheduler.processes.filter((process) => process.kind === kind && process.alive);
  if (alive.length === 0) return;
  const process = world.random.pick(alive);
  world.scheduler.kill(process);
  world.cursors.forgetMemory();
  world.log(`kill ${process.name}`);
  world.plan.after(world.random.integer(5, 120), () => world.kafka.rebalance(topic));
  world.plan.after(world.random.integer(20, 300), () => {
    world.startService(kind, `${process.name}'`);
    world.kafka.rebalance(topic);
  });
}

function pauseService(world: World): void {
  const kind = world.random.pick(['messaging', 'notification'] as const);
  const alive = world.scheduler.processes.filter((process) => process.kind === kind && process.alive);
  if (alive.length === 0) return;
  world.random.pick(alive).pausedUntil = world.scheduler.now + world.random.integer(50, 900);
  world.plan.after(world.random.integer(30, 100), () =>
    world.kafka.rebalance(kind === 'messaging' ? 'incoming' : 'events'),
  );
}
