import { BIRTH_SLACK, REBUILD_LOCK } from './config.ts';
import type { DeviceRow, HistoryItem } from './dynamo.ts';
import {
  append,
  findInbox,
  findOrMakeInbox,
  type NewEntry,
  newInbox,
  sessionsOf,
  trimOverflow,
} from './inbox-scripts.ts';
import { receivesAt } from './membership.ts';
import type { DeviceName, User } from './records.ts';
import type { Inbox, Script } from './redis.ts';
import type { Process, Steps } from './scheduler.ts';
import { reset } from './session-scripts.ts';
import type { World } from './world.ts';

const WAIT_FOR_LOCK = 40;
const WAIT_FOR_COMMIT = 20;

type Lock = { token: number; generation: number | undefined; base: number };
/** What a rebuild read from DynamoDB, and up to where history was whole when it did. */
type Material = {
  below: number[] | undefined;
  devices: Map<DeviceName, DeviceRow>;
  cursors: Map<DeviceName, Map<string, number>>;
  history: HistoryItem[];
};

/** Makes a user's inbox whole again from the history, as a new generation (decision 11). */
export function* rebuild(world: World, process: Process, user: User): Steps {
  for (;;) {
    const lock = yield* takeLock(world, process, user);
    if (lock === 'whole') return;
    const material = yield* gather(world, process, user, lock);
    if (!material) continue;
    const swapped = yield* world.redis.forUser(process, user, 'rebuild', (at) => swap(world, at, user, lock, material));
    if (!swapped) continue;
    yield* world.due.add(process, user, 0);
    const connections = yield* world.redis.forUser(process, user, '', (at) => Object.keys(sessionsOf(at, user)));
    for (const connection of connections) yield* resetConnection(world, process, user, connection);
    return;
  }
}

/** Tells a connection of the new generation, with the first page of it. */
export function* resetConnection(world: World, process: Process, user: User, connection: string): Steps {
  const told = yield* world.redis.forUser(process, user, `reset ${connection} of`, (at) =>
    reset(world, at, user, connection),
  );
  if (!told) return;
  yield;
  world.kafka.appendHint(told.slot, told.hint);
}

function* takeLock(world: World, process: Process, user: User): Steps<Lock | 'whole'> {
  const token = world.nextId();
  for (;;) {
    const taken = yield* world.redis.forUser(process, user, 'lock', (at): Lock | 'whole' | 'wait' => {
      const inbox = findInbox(world, at, user);
      if (inbox && !inbox.partial) return 'whole';
      const held = at.state.locks[user];
      if (held && held.expiresAt > at.now) return 'wait';
      at.state.locks[user] = { token, expiresAt: at.now + REBUILD_LOCK, store: at.store };
      // Partial meta first: what is enqueued from now on is in the list that the swap will find.
      const marked = world.rule('cut') ? findOrMakeInbox(world, at, user) : inbox;
      return { token, generation: marked?.generation, base: marked?.base ?? 0 };
    });
    if (taken !== 'wait') return taken;
    yield WAIT_FOR_LOCK;
  }
}

/** @returns undefined where the lock was lost on the way. */
function* gather(world: World, process: Process, user: User, lock: Lock): Steps<Material | undefined> {
  const { dynamo, kafka, scheduler } = world;
  let below: number[] | undefined;
  let known: Set<DeviceName>;
  let devices: Map<DeviceName, DeviceRow>;
  do {
    yield;
    known = new Set(dynamo.devices.get(user)?.keys());
    if (world.rule('cut')) {
      yield;
      below = kafka.ends();
      while (!below.every((end, partition) => (kafka.committed('incoming')[partition] ?? 0) >= end)) {
        yield WAIT_FOR_COMMIT;
        if (!(yield* keepLock(world, process, user, lock))) return undefined;
      }
    }
    yield;
    devices = structuredClone(dynamo.devices.get(user) ?? new Map<DeviceName, DeviceRow>());
    // One that was made meanwhile may start where the log ended after the cut.
  } while (world.rule('startNoted') && [...devices.keys()].some((device) => !known.has(device)));
  yield;
  const cursors = structuredClone(dynamo.cursors.get(user) ?? new Map<DeviceName, Map<string, number>>());
  yield;
  const index = [...(dynamo.memberships.get(user) ?? [])];
  const conversations = index
    .filter(([, visibleAt]) => world.rule('strongIndex') || scheduler.now >= visibleAt)
    .map(([conversation]) => conversation);
  const history: HistoryItem[] = [];
  for (const conversation of conversations) {
    yield;
    for (const item of readHistory(world, conversation)) {
      if (below && item.position >= (below[item.partition] ?? 0)) continue;
      if (isFor(world, user, item)) history.push(item);
    }
  }
  return { below, devices, cursors, history };
}

function* keepLock(world: World, process: Process, user: User, lock: Lock): Steps<boolean> {
  return yield* world.redis.forUser(process, user, '', (at) => {
    const held = at.state.locks[user];
    if (held?.token !== lock.token) return false;
    held.expiresAt = at.now + REBUILD_LOCK;
    return true;
  });
}

/** A conversation as every page of history and every rebuild reads it: without the text of what was deleted (decision 3). */
export function readHistory(world: World, conversation: string): HistoryItem[] {
  const deleted = world.dynamo.tombstones.get(conversation);
  const items = [...(world.dynamo.history.get(conversation)?.values() ?? [])];
  return items.map((item) => (deleted?.has(item.position) ? { ...item, content: undefined } : item));
}

/** Of a conversation a user gets what came while being a member of it (decision 4). */
function isFor(world: World, user: User, item: HistoryItem): boolean {
  const intervals = world.dynamo.intervals.get(item.conversation)?.get(user) ?? [];
  return world.rule('rebuildIntervals')
    ? receivesAt(intervals, item.position)
    : intervals.some(({ left }) => left > item.position);
}

/** One script: checks that nothing happened to token, generation, base and store, and puts the new inbox in place. */
function swap(world: World, at: Script, user: User, lock: Lock, material: Material): string | undefined {
  const held = at.state.locks[user];
  if (held?.token !== lock.token) return undefined;
  delete at.state.locks[user];
  if (world.rule('storeIdentity') && held.store !== at.store) return undefined;
  const old = findInbox(world, at, user);
  if (old && !old.partial) return 'whole already';
  if (world.rule('cut') && old && old.base !== lock.base) return undefined;
  if (old?.generation !== lock.generation && (world.rule('cut') || lock.generation !== undefined)) return undefined;
  const made = newInbox(world, at);
  fill(world, at, user, made, old, material);
  at.state.inboxes[user] = made;
  for (const session of Object.values(sessionsOf(at, user))) {
    session.mode = 'draining';
    session.sent = undefined;
  }
  return `generation ${made.generation} of ${made.entries.map((entry) => entry.id)} with cursors ${JSON.stringify(made.cursors)}`;
}

function fill(world: World, at: Script, user: User, made: Inbox, old: Inbox | undefined, material: Material): void {
  made.lastEnqueued = { ...old?.lastEnqueued };
  material.below?.forEach((end, partition) => {
    made.lastEnqueued[partition] = Math.max(made.lastEnqueued[partition] ?? -1, end - 1);
  });
  const devices = holders(world, at, user, material.devices, old);
  const acked = (device: DeviceName, entry: NewEntry): boolean =>
    hasAcked(world, at, user, old, material, device, entry);
  const items = merged(world, user, material, old).filter(
    (entry) => devices.length === 0 || devices.some((device) => !acked(device, entry)),
  );
  const ackedBy = devices.map((device) => items.map((entry) => acked(device, entry)));
  for (const item of items) append(world, at, made, item, item.ttl === undefined ? undefined : item.time + item.ttl);
  devices.forEach((device, i) => {
    const firstMissing = ackedBy[i]?.indexOf(false) ?? -1;
    made.cursors[device] = firstMissing < 0 ? made.tail : firstMissing;
    made.seen[device] = Math.max(old?.seen[device] ?? 0, material.devices.get(device)?.seenAt ?? 0);
    world.checker.onDeviceRestored(user, device);
  });
  trimOverflow(world, user, made);
  world.checker.onRebuilt(user, made.entries, material.below);
}

/** The devices whose cursors are restored: the active ones, or, with none active, the one that was seen last. */
function holders(
  world: World,
  at: Script,
  user: User,
  rows: Map<DeviceName, DeviceRow>,
  old: Inbox | undefined,
): DeviceName[] {
  const connected = new Set(Object.values(sessionsOf(at, user)).map((session) => session.device));
  const seen = (device: DeviceName): number => Math.max(rows.get(device)?.seenAt ?? 0, old?.seen[device] ?? 0);
  const known = [...rows.keys()].sort((a, b) => seen(b) - seen(a));
  const active = known.filter(
    (device) => !world.rule('deviceExpiry') || connected.has(device) || at.now - seen(device) < world.deviceRetention,
  );
  return active.length > 0 ? active : known.slice(0, 1);
}

/** Whether a device has this entry, or never was to get it. */
function hasAcked(
  world: World,
  at: Script,
  user: User,
  old: Inbox | undefined,
  material: Material,
  device: DeviceName,
  entry: NewEntry & { seq?: number },
): boolean {
  const { conversation, position, partition } = entry;
  if ((material.cursors.get(device)?.get(conversation) ?? -1) >= position) return true;
  if ((at.state.dirty[user]?.[device]?.[conversation] ?? -1) >= position) return true;
  if (entry.seq !== undefined && entry.seq <= (old?.cursors[device] ?? -1)) return true;
  if (!world.rule('deviceStart')) return false;
  const row = material.devices.get(device);
  if (world.rule('birthAtLogEnds')) return row?.start !== undefined && position < (row.start[partition] ?? 0);
  return row?.start !== undefined && entry.time < row.bornAt - BIRTH_SLACK;
}

/** History below the cut and what the partial list holds, merged by record time, never against a partition's own order. */
function merged(world: World, user: User, material: Material, old: Inbox | undefined): (NewEntry & { seq?: number })[] {
  const byPlace = new Map<string, NewEntry & { seq?: number }>();
  const begins = beginnings(world, material.devices);
  const ownFrom = world.rule('ownCopiesSince') || begins.length < 2 ? begins[1] : [0, 0];
  for (const item of material.history) {
    const own = item.from === user && item.kind !== 'members';
    if (own && (ownFrom === undefined || item.position < (ownFrom[item.partition] ?? 0))) continue;
    byPlace.set(`${item.partition}/${item.position}`, { ...item, own });
  }
  for (const entry of old?.entries ?? []) {
    const place = `${entry.partition}/${entry.position}`;
    const inHistory = byPlace.get(place);
    if (inHistory) inHistory.seq = entry.seq;
    if (
      (material.below && entry.position < (material.below[entry.partition] ?? 0)) ||
      (entry.own && ownFrom === undefined)
    )
      continue;
    const { enteredAt: _, expiresAt, ...rest } = entry;
    byPlace.set(place, { ...rest, ttl: expiresAt === undefined ? undefined : expiresAt - entry.time });
  }
  const all = [...byPlace.values()];
  if (!world.rule('mergeByPartition'))
    return all.sort((a, b) => a.time - b.time || a.partition - b.partition || a.position - b.position);
  all.sort((a, b) => a.partition - b.partition || a.position - b.position);
  // A clock that was off must not turn round what the log has in order: a record's time is at least that of the one before.
  const latest = new Map<number, number>();
  const timed = all.map((entry) => {
    const time = Math.max(entry.time, latest.get(entry.partition) ?? entry.time);
    latest.set(entry.partition, time);
    const age = begins.filter((begin) => entry.position >= (begin[entry.partition] ?? 0)).length;
    return { entry, time, age: world.rule('oldestFirst') ? age : 0 };
  });
  return timed
    .sort(
      (a, b) =>
        a.age - b.age ||
        a.time - b.time ||
        a.entry.partition - b.entry.partition ||
        a.entry.position - b.entry.position,
    )
    .map(({ entry }) => entry);
}

/** Where devices begin, the oldest first; none before the one that was made before it. Own copies begin with the second. */
function beginnings(world: World, devices: Map<DeviceName, DeviceRow>): number[][] {
  let latest = world.kafka.incoming.map(() => 0);
  return [...devices.values()]
    .map(({ start }) => start ?? latest)
    .sort((a, b) => sum(a) - sum(b))
    .map((start) => {
      latest = latest.map((before, partition) => Math.max(before, start[partition] ?? 0));
      return latest;
    });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);
