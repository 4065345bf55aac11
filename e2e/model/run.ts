import type { BrokenKind } from './checker.ts';
import type { RunConfig } from './config.ts';
import { MOST_PUSHES, owesAnything } from './due.ts';
import { trimAcked } from './inbox-scripts.ts';
import { World } from './world.ts';

export type Verdict = {
  broken: { kind: BrokenKind; text: string }[];
  trace: string[];
  steps: number;
  ticks: number;
  tally: Map<string, number>;
};

const MOST_STEPS = 60_000;
const SETTLE_TICKS = 12_000;
const LOOK_EVERY = 150;

/** One run: the shape's time under faults, then quiet, in which all that is owed must arrive without help. */
export function run(config: RunConfig): Verdict {
  const world = new World(config);
  const { scheduler } = world;
  while (scheduler.now < config.shape.ticks && scheduler.steps < MOST_STEPS) {
    scheduler.step();
    world.plan.tick();
  }
  calmDown(world);
  if (settle(world)) checkEnd(world);
  else {
    const standing = describe(world);
    for (const device of world.devices) device.reconnect();
    if (settle(world)) world.fail('stuck', standing);
    else world.fail(world.checker.missing().length > 0 ? 'lost' : 'unsettled', describe(world));
  }
  return { broken: world.broken, trace: world.trace, steps: scheduler.steps, ticks: scheduler.now, tally: world.tally };
}

function calmDown(world: World): void {
  const { scheduler, plan } = world;
  scheduler.calm = true;
  for (const process of scheduler.processes) process.pausedUntil = Math.min(process.pausedUntil, scheduler.now);
  plan.end();
  world.rebalanceAll();
  world.log('--- quiet');
  const away = world.devices.at(-1);
  if (!world.fault('absent') || !away) return;
  away.absentUntil = Number.POSITIVE_INFINITY;
  away.leave('clean');
}

function settle(world: World): boolean {
  const { scheduler } = world;
  const end = scheduler.now + SETTLE_TICKS;
  for (let steps = 1; scheduler.now < end; steps++) {
    scheduler.step();
    world.plan.tick();
    if (steps % LOOK_EVERY === 0 && isSettled(world)) return true;
  }
  return isSettled(world);
}

/** Invariants 1 and 7: all has arrived, the inboxes hold what is undelivered, nothing waits. */
function isSettled(world: World): boolean {
  const { kafka, checker, devices } = world;
  const present = devices.filter((device) => !device.isAbsent && !device.exiled);
  if (!kafka.committed('incoming').every((offset, partition) => offset === kafka.incoming[partition]?.length))
    return false;
  if (!present.every((device) => device.isOnline && device.drained === 1)) return false;
  for (const user of world.users) {
    const inbox = world.redis.state.inboxes[user];
    const ofUser = present.filter((device) => device.user === user);
    if (ofUser.length === 0) continue;
    if (!inbox || inbox.partial || !ofUser.every((device) => inbox.cursors[device.name] === inbox.tail)) return false;
  }
  return checker.missing().length === 0;
}

function checkEnd(world: World): void {
  const { scheduler, checker, devices } = world;
  checker.checkHistory();
  if (world.fault('expiry')) checkHeld(world);
  const away = devices.at(-1);
  if (!world.fault('absent') || !away) return;
  const until = scheduler.now + 600;
  while (scheduler.now < until) scheduler.step();
  const inbox = world.redis.state.inboxes[away.user];
  const at = { state: world.redis.state, node: 0, store: '', now: scheduler.now };
  const owes = inbox !== undefined && (inbox.partial || owesAnything(world, at, away.user, inbox));
  const toBeWoken = owes ? inbox.probes < MOST_PUSHES : checker.owesAny(away);
  if (toBeWoken && world.redis.state.due[away.user] === undefined)
    world.fail('unwoken', `${away.name} is owed something and not due`);
}

/** At the next touch, an inbox lets go of what only unseen devices have not acked. */
function checkHeld(world: World): void {
  const { redis, scheduler, checker } = world;
  for (const [user, inbox] of Object.entries(redis.state.inboxes)) {
    const active = world.devicesOf(user).filter((device) => !checker.isSurelyExpired(device));
    const owes = active.some((device) => (inbox.cursors[device.name] ?? 0) < inbox.tail);
    if (inbox.partial || owes || !active.some((device) => checker.isSurelyActive(device))) continue;
    trimAcked(
      world,
      { state: redis.state, node: redis.nodeOf(user), store: inbox.store, now: scheduler.now },
      user,
      inbox,
    );
    if (inbox.entries.length > 0)
      world.fail('held', `${user}'s inbox holds ${inbox.entries.length} entries that every active device has acked`);
  }
}

function describe(world: World): string {
  const { devices, redis, kafka, users, checker } = world;
  const ofDevices = devices.map(
    (device) =>
      `${device.name}:${device.isOnline ? `${device.generation}/${device.lastSeq}${device.drained ? '' : ' undrained'}` : 'off'}`,
  );
  const ofUsers = users.map((user) => {
    const inbox = redis.state.inboxes[user];
    const standing = inbox
      ? `${inbox.generation} ${inbox.base}..${inbox.tail}${inbox.partial ? ' partial' : ''} ${JSON.stringify(inbox.cursors)}`
      : 'none';
    return `${user} ${standing} due ${redis.state.due[user]} ${JSON.stringify(redis.state.sessions[user])}`;
  });
  const committed = kafka
    .committed('incoming')
    .map((offset, partition) => `${offset}/${kafka.incoming[partition]?.length}`);
  return `${checker.missing().join(' ')} | ${ofDevices.join(' ')} | ${ofUsers.join('; ')} | committed ${committed.join(' ')}`;
}
