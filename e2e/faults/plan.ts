import { Random } from '../model/random.ts';

/** How a device acks what comes: each entry at once, in handfuls, late, or not at all before its next connection. */
export type AckHabit = 'each' | 'gathered' | 'late' | 'never';
export type Message = { id: string; conversation: string; body: string; ttlSeconds?: number; urgent?: false };

/** What a user or a device does at a moment of the run. Gateways are numbers here: the run knows their addresses. */
export type Step = { atMs: number } & (
  | { do: 'connect'; user: string; device: string; gateway: number; acks: AckHabit }
  /** close: as an app ends; drop: as a network does, whatever is not acked yet. */
  | { do: 'leave'; user: string; device: string; how: 'close' | 'drop' }
  | { do: 'send'; user: string; via: 'socket' | 'http'; gateway: number; message: Message }
  /** The same send again; `body` where another content comes under the same id. */
  | { do: 'repeat'; user: string; via: 'socket' | 'http'; gateway: number; id: string; body?: string }
  | { do: 'delete'; user: string; id: string; of: string }
  | {
      do: 'change-members';
      user: string;
      gateway: number;
      conversation: string;
      change: { add: string[] } | { remove: string[] };
    }
  | { do: 'sync'; user: string; device: string; gateway: number; ack: 'seq' | 'ids' | 'none' }
  | { do: 'nack'; user: string; device: string }
  | { do: 'ack-oddly'; user: string; device: string; how: 'twice' | 'future' | 'other generation' }
  | { do: 'stop-reading'; user: string; device: string; forMs: number }
);

export type PlannedFault = { atMs: number; nemesis: string; seed: number };
export type PlannedUser = { user: string; devices: string[] };
export type PlannedGroup = { conversation: string; owner: string; members: string[] };
export type Plan = { users: PlannedUser[]; groups: PlannedGroup[]; steps: Step[]; faults: PlannedFault[] };

export type PlanOptions = {
  seed: number;
  durationMs: number;
  nemeses: readonly string[];
  gateways: number;
  /** Before every name, so that two runs against one deployment don't meet. */
  prefix: string;
  /** Whether members come and go: where nobody can read the log, who was a member when can't be judged. */
  membersChange: boolean;
  sendsPerSecond: number;
};

const USERS = 8;
const GROUPS = 3;
const MOST_DEVICES = 3;
/** What happens besides sends, a second, over all devices. */
const MOVES_PER_SECOND = 4;
/** Nobody is hurt before all is under way, and none is begun so late that it would end in the quiet. */
const CALM_MS = 1_500;
const FAULT_EACH_MS = 5_000;
const SHORT_TTLS_SECONDS = [1, 3] as const;
const LONG_TTL_SECONDS = 7 * 24 * 3600;

/** What a run does: a function of its options alone. The machine decides only how far each step has come when the next begins. */
export function plan(options: PlanOptions): Plan {
  const random = new Random(options.seed);
  const users = planUsers(options.prefix, random);
  const groups = planGroups(options.prefix, users, random);
  const steps = [
    ...firstConnections(users, options, random),
    ...planSends(users, groups, options, random),
    ...planMoves(users, groups, options, random),
  ].sort((a, b) => a.atMs - b.atMs);
  return { users, groups, steps, faults: planFaults(options, random) };
}

function planUsers(prefix: string, random: Random): PlannedUser[] {
  return Array.from({ length: USERS }, (_, n) => ({
    user: `${prefix}u${n}`,
    devices: Array.from({ length: random.integer(1, MOST_DEVICES) }, (_, d) => `d${d}`),
  }));
}

function planGroups(prefix: string, users: readonly PlannedUser[], random: Random): PlannedGroup[] {
  return Array.from({ length: GROUPS }, (_, n) => {
    const members = random.shuffle(users.map(({ user }) => user)).slice(0, random.integer(3, USERS - 1));
    return { conversation: `grp:${prefix}g${n}`, owner: members[0]!, members };
  });
}

/** A user's first device may come at once, or only when much waits for it; the others follow. */
function firstConnections(
  users: readonly PlannedUser[],
  { durationMs, gateways }: PlanOptions,
  random: Random,
): Step[] {
  return users.flatMap(({ user, devices }) => {
    let atMs = random.chance(0.6) ? random.integer(0, 500) : random.integer(0, durationMs / 2);
    return devices.map((device): Step => {
      const step = connect(user, device, atMs, gateways, random);
      atMs = random.integer(atMs, Math.max(atMs, durationMs / 2));
      return step;
    });
  });
}

function connect(user: string, device: string, atMs: number, gateways: number, random: Random): Step {
  const acks = random.pick<AckHabit>(['each', 'each', 'gathered', 'late', 'never']);
  return { atMs, do: 'connect', user, device, gateway: random.integer(0, gateways - 1), acks };
}

function planSends(
  users: readonly PlannedUser[],
  groups: readonly PlannedGroup[],
  { prefix, durationMs, gateways, sendsPerSecond }: PlanOptions,
  random: Random,
): Step[] {
  const steps: Step[] = [];
  const count = Math.round((durationMs / 1000) * sendsPerSecond);
  for (let n = 0; n < count; n++) {
    const group = random.chance(0.5) ? random.pick(groups) : undefined;
    const user = group && random.chance(0.9) ? random.pick(group.members) : random.pick(users).user;
    const other = random.pick(users).user;
    const conversation = group?.conversation ?? `dm:${[user, other].sort().join(':')}`;
    const id = `${prefix}m${String(n).padStart(7, '0')}`;
    const body = `${id} ${'x'.repeat(random.chance(0.02) ? random.integer(1_000, 20_000) : random.integer(0, 60))}`;
    const message: Message = { id, conversation, body };
    if (random.chance(0.03)) message.ttlSeconds = random.pick([...SHORT_TTLS_SECONDS, LONG_TTL_SECONDS]);
    if (random.chance(0.1)) message.urgent = false;
    const atMs = random.integer(0, durationMs);
    const how = () => ({
      via: random.chance(0.7) ? ('socket' as const) : ('http' as const),
      gateway: random.integer(0, gateways - 1),
    });
    steps.push({ atMs, do: 'send', user, ...how(), message });
    const again = atMs + random.integer(0, 4_000);
    if (random.chance(0.1)) steps.push({ atMs: again, do: 'repeat', user, ...how(), id });
    if (random.chance(0.01)) steps.push({ atMs: again, do: 'repeat', user, ...how(), id, body: `${id} other` });
    if (random.chance(0.02)) steps.push({ atMs: again, do: 'delete', user, id: `${id}-deleted`, of: id });
  }
  return steps;
}

function planMoves(
  users: readonly PlannedUser[],
  groups: readonly PlannedGroup[],
  { durationMs, gateways, membersChange }: PlanOptions,
  random: Random,
): Step[] {
  const steps: Step[] = [];
  const count = Math.round((durationMs / 1000) * MOVES_PER_SECOND);
  for (let n = 0; n < count; n++) {
    const atMs = random.integer(1_000, Math.max(1_000, durationMs));
    const { user, devices } = random.pick(users);
    const device = random.pick(devices);
    const gateway = random.integer(0, gateways - 1);
    const dice = random.next();
    if (dice < 0.35) steps.push({ atMs, do: 'leave', user, device, how: random.pick(['close', 'drop', 'drop']) });
    else if (dice < 0.7) steps.push(connect(user, device, atMs, gateways, random));
    else if (dice < 0.8)
      steps.push({ atMs, do: 'sync', user, device, gateway, ack: random.pick(['seq', 'ids', 'none']) });
    else if (dice < 0.84) steps.push({ atMs, do: 'nack', user, device });
    else if (dice < 0.9)
      steps.push({ atMs, do: 'ack-oddly', user, device, how: random.pick(['twice', 'future', 'other generation']) });
    else if (dice < 0.95) steps.push({ atMs, do: 'stop-reading', user, device, forMs: random.integer(500, 3_000) });
    else if (membersChange) {
      const { conversation, owner } = random.pick(groups);
      const whom = random.pick(users.filter((other) => other.user !== owner)).user;
      const change = random.chance(0.6) ? { add: [whom] } : { remove: [whom] };
      steps.push({ atMs, do: 'change-members', user: owner, gateway, conversation, change });
    }
  }
  return steps;
}

/** Round by round, in an order of its own each, so that every nemesis that was asked for comes before one comes twice. */
function planFaults({ nemeses, durationMs }: PlanOptions, random: Random): PlannedFault[] {
  if (nemeses.length === 0) return [];
  const span = Math.max(0, durationMs - CALM_MS);
  const eachMs = Math.min(FAULT_EACH_MS, span / nemeses.length);
  const faults: PlannedFault[] = [];
  let waiting: string[] = [];
  for (let atMs = CALM_MS; atMs < durationMs - eachMs / 2; atMs += eachMs) {
    if (waiting.length === 0) waiting = random.shuffle(nemeses);
    faults.push({
      atMs: Math.round(atMs + (random.next() * eachMs) / 2),
      nemesis: waiting.shift()!,
      seed: random.integer(1, 2 ** 30),
    });
  }
  return faults;
}
