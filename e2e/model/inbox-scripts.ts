import { CAP, PAGE, WINDOW } from './config.ts';
import type { ConnectionId, DeviceName, Entry, Gap, GapReason, Hint, PageEntry, User } from './records.ts';
import type { Inbox, Script, Session } from './redis.ts';
import type { World } from './world.ts';

/** The scripts at one user's keys: what messaging enqueues, what a page holds, what an ack takes out. */

export type NewEntry = Omit<Entry, 'seq' | 'enteredAt' | 'expiresAt'> & { ttl: number | undefined };
export type LiveSession = { connection: ConnectionId; slot: number; lease: number; hint: Hint | undefined };

/** The inbox as it may be trusted: expired keys are gone, another store's memory is partial (decision 10). */
export function findInbox(world: World, at: Script, user: User): Inbox | undefined {
  const inbox = at.state.inboxes[user];
  if (!inbox) return undefined;
  if (at.now >= inbox.expiresAt) {
    delete at.state.inboxes[user];
    return undefined;
  }
  if (world.rule('storeIdentity') && inbox.store !== at.store) {
    inbox.partial = true;
    inbox.store = at.store;
  }
  return inbox;
}

/** An enqueue without meta makes a partial inbox: what came before is unknown. */
export function findOrMakeInbox(world: World, at: Script, user: User): Inbox {
  const found = findInbox(world, at, user);
  if (found) return found;
  const made = newInbox(world, at);
  made.partial = true;
  at.state.inboxes[user] = made;
  return made;
}

export function newInbox(world: World, at: Script): Inbox {
  return {
    generation: world.newGeneration(),
    store: at.store,
    partial: false,
    base: 0,
    tail: 0,
    entries: [],
    cursors: {},
    noted: {},
    seen: {},
    beyond: {},
    suspects: {},
    lastEnqueued: {},
    overflowTo: 0,
    overflowed: {},
    agedTo: 0,
    expiresAt: at.now + world.retention,
    probes: 0,
  };
}

export function sessionsOf(at: Script, user: User): Record<ConnectionId, Session> {
  let sessions = at.state.sessions[user];
  if (!sessions) {
    sessions = {};
    at.state.sessions[user] = sessions;
  }
  return sessions;
}

/** Connected, or seen within the retention: a device that holds the list back (decision 7). */
export function activeDevices(world: World, at: Script, user: User, inbox: Inbox): DeviceName[] {
  const connected = new Set(Object.values(at.state.sessions[user] ?? {}).map((session) => session.device));
  return Object.keys(inbox.cursors).filter(
    (device) =>
      !world.rule('deviceExpiry') ||
      connected.has(device) ||
      at.now - (inbox.seen[device] ?? 0) < world.deviceRetention,
  );
}

/** Puts entries in, once for each position, and returns the sessions with what the live ones are to be sent (decision 6). */
export function enqueue(
  world: World,
  at: Script,
  user: User,
  partition: number,
  entries: readonly NewEntry[],
): LiveSession[] {
  const inbox = findOrMakeInbox(world, at, user);
  const fresh: Entry[] = [];
  const ownCopies = inbox.partial ? world.rule('ownCopiesInPartial') : activeDevices(world, at, user, inbox).length > 1;
  for (const entry of entries) {
    if (world.rule('enqueueOnce') && entry.position <= (inbox.lastEnqueued[partition] ?? -1)) continue;
    inbox.lastEnqueued[partition] = Math.max(entry.position, inbox.lastEnqueued[partition] ?? -1);
    if (!entry.own || ownCopies)
      fresh.push(append(world, at, inbox, entry, entry.ttl === undefined ? undefined : at.now + entry.ttl));
  }
  if (fresh.length > 0) {
    inbox.expiresAt = at.now + world.retention;
    inbox.probes = 0;
  }
  trimOverflow(world, user, inbox);
  trimAged(world, at, inbox);
  trimAcked(world, at, user, inbox);
  const live: LiveSession[] = [];
  for (const [connection, session] of Object.entries(sessionsOf(at, user))) {
    const hint =
      inbox.partial || session.mode !== 'live' ? undefined : liveHint(world, at, inbox, connection, session, fresh);
    live.push({ connection, slot: session.slot, lease: session.lease, hint });
  }
  return live;
}

/** @param expiresAt by Redis: when the entry's own ttl runs out. */
export function append(world: World, at: Script, inbox: Inbox, entry: NewEntry, expiresAt: number | undefined): Entry {
  inbox.tail++;
  const enteredAt = world.rule('ageInList') ? at.now : entry.time;
  const { ttl: _, ...rest } = entry;
  const placed: Entry = { ...rest, seq: inbox.tail, enteredAt, expiresAt };
  inbox.entries.push(placed);
  world.checker.onEntryPlaced(inbox.generation, placed);
  return placed;
}

/** What of a batch fits the window goes at once; the session then goes back to draining (decision 14). */
function liveHint(
  world: World,
  at: Script,
  inbox: Inbox,
  connection: ConnectionId,
  session: Session,
  fresh: readonly Entry[],
): Hint | undefined {
  const until = windowEnd(inbox, session.device);
  const sent = session.sent ?? 0;
  const fits = world.rule('fitWindow') || inbox.tail <= until;
  const page = fits
    ? fresh
        .filter((entry) => entry.seq <= until && entry.seq > sent)
        .flatMap((entry) => shown(world, at, inbox, session.device, entry))
    : [];
  const last = page.at(-1);
  if (last) session.sent = last.seq;
  if ((session.sent ?? 0) < inbox.tail) session.mode = 'draining';
  return last ? { connection, generation: inbox.generation, page } : undefined;
}

export function windowEnd(inbox: Inbox, device: DeviceName): number {
  const cursor = inbox.cursors[device] ?? inbox.base;
  // An entry that a device may have died of twice is sent alone, so that the poison rule can tell which it was (decision 16).
  const suspect = inbox.suspects[device];
  const window = suspect?.seq === cursor + 1 && suspect.ends > 1 ? 1 : WINDOW;
  return Math.max(cursor, inbox.base) + window;
}

/** An entry as this device is to see it: a gap where it has run out or was refused, so that seqs stay dense. */
function shown(world: World, at: Script, inbox: Inbox, device: DeviceName, entry: Entry): PageEntry[] {
  const asGap = (reason: GapReason): Gap => ({ kind: 'gap', seq: entry.seq, from: entry.seq, reason });
  if (inbox.beyond[device]?.[entry.seq] === 'nacked' && world.rule('nackGap')) return [asGap('dead-lettered')];
  if (entry.expiresAt !== undefined && entry.expiresAt <= at.now) return world.rule('ttlGap') ? [asGap('expired')] : [];
  return [entry];
}

/** At most `limit` entries after seq `from`, with gaps in the place of what is not there any more. */
export function pageAfter(
  world: World,
  at: Script,
  inbox: Inbox,
  device: DeviceName,
  from: number,
  limit: number,
): PageEntry[] {
  const page: PageEntry[] = [];
  let next = from + 1;
  if (from < inbox.base) {
    // What age took is in the history: a rebuild brings it back, a gap would hide it.
    if (from < inbox.agedTo && world.rule('ageMark')) return [];
    page.push({
      kind: 'gap',
      seq: inbox.base,
      from: next,
      reason: from < inbox.overflowTo ? 'overflow' : 'device-expired',
    });
    next = inbox.base + 1;
  }
  for (const entry of inbox.entries) {
    if (page.length >= limit) break;
    if (entry.seq >= next) page.push(...shown(world, at, inbox, device, entry));
  }
  return page;
}

/** The next page of a session; at the tail the same script flips it to live (decision 14). */
export function release(world: World, at: Script, inbox: Inbox, session: Session): PageEntry[] {
  const cursor = inbox.cursors[session.device] ?? inbox.base;
  const from = Math.max(session.sent ?? cursor, cursor);
  const room = Math.max(0, windowEnd(inbox, session.device) - from);
  const page = pageAfter(world, at, inbox, session.device, from, Math.min(PAGE, room));
  session.sent = page.at(-1)?.seq ?? from;
  session.mode = session.sent >= inbox.tail ? 'live' : 'draining';
  return page;
}

/** Tells where the backlog ends, once the page has brought the session there. */
export const drainedAt = (inbox: Inbox, session: Session): { drained?: number } =>
  session.mode === 'live' ? { drained: inbox.tail } : {};

/** From the head up to the smallest cursor of the active devices; with none active nothing is trimmed (decision 7). */
export function trimAcked(world: World, at: Script, user: User, inbox: Inbox): void {
  const active = activeDevices(world, at, user, inbox);
  if (active.length === 0) return;
  const acked = Math.min(...active.map((device) => inbox.cursors[device] ?? 0));
  while ((inbox.entries[0]?.seq ?? Number.POSITIVE_INFINITY) <= acked) {
    const entry = inbox.entries.shift() as Entry;
    inbox.base = entry.seq;
    world.checker.onTrimmed(user, entry);
  }
}

/** What the cap takes becomes a gap (decision 9). */
export function trimOverflow(world: World, user: User, inbox: Inbox): void {
  while (inbox.entries.length > (world.fault('cap') ? CAP : Number.POSITIVE_INFINITY)) {
    const entry = inbox.entries.shift() as Entry;
    inbox.base = entry.seq;
    inbox.overflowTo = entry.seq;
    inbox.overflowed[entry.conversation] = Math.max(entry.position, inbox.overflowed[entry.conversation] ?? -1);
    world.checker.onOverflow(user, entry);
  }
}

/** What was in the list for too long goes, and a mark says that it was age (decision 9). */
function trimAged(world: World, at: Script, inbox: Inbox): void {
  while ((inbox.entries[0]?.enteredAt ?? Number.POSITIVE_INFINITY) < at.now - world.retention) {
    const entry = inbox.entries.shift() as Entry;
    inbox.base = entry.seq;
    inbox.agedTo = entry.seq;
  }
}

export type Passed = { moved: boolean; empty: boolean };

/** Moves a cursor up to `seq` and over what counts as acked beyond it, and leaves a mark for the durable cursors (decision 11). */
export function moveCursor(
  world: World,
  at: Script,
  user: User,
  inbox: Inbox,
  device: DeviceName,
  seq: number,
): Passed {
  const before = inbox.cursors[device] ?? inbox.base;
  const beyond = inbox.beyond[device] ?? {};
  let cursor = Math.max(before, Math.min(seq, inbox.tail));
  while (beyond[cursor + 1] !== undefined) cursor++;
  const marks: Record<string, number> =
    before < inbox.overflowTo && cursor >= inbox.overflowTo && world.rule('gapCursors') ? { ...inbox.overflowed } : {};
  for (const entry of inbox.entries) {
    if (entry.seq > before && entry.seq <= cursor)
      marks[entry.conversation] = Math.max(entry.position, marks[entry.conversation] ?? -1);
  }
  inbox.cursors[device] = cursor;
  if (cursor > before) inbox.probes = 0;
  world.cursors.mark(at, user, device, marks);
  trimAcked(world, at, user, inbox);
  forget(beyond, cursor, inbox.base);
  return { moved: cursor > before, empty: Object.values(inbox.cursors).every((acked) => acked >= inbox.tail) };
}

/** A refused entry stays a gap for this device as long as it is in the list: a refill may still ask for it. */
function forget(beyond: Record<number, 'acked' | 'nacked'>, cursor: number, base: number): void {
  for (const [seq, mark] of Object.entries(beyond))
    if (Number(seq) <= (mark === 'nacked' ? base : cursor)) delete beyond[Number(seq)];
}
