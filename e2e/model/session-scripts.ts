import { PAGE, POISON_CONNECTION_TICKS, POISON_CONNECTIONS, POISON_TICKS } from './config.ts';
import { drainedAt, findInbox, moveCursor, pageAfter, release, sessionsOf, windowEnd } from './inbox-scripts.ts';
import type { ConnectionId, DeviceName, Entry, Hint, User } from './records.ts';
import type { Inbox, Script, Session } from './redis.ts';
import type { World } from './world.ts';

/** The scripts at one user's keys that a connection needs: register, page, reset, and what the gateway says again. */

export type Standing = { generation: number; acked: number; tail: number };
type Asker = { user: User; device: DeviceName; connection: ConnectionId; slot: number; lease: number };
export type Connected = { replaced: { connection: ConnectionId; slot: number }[]; standing: Standing | undefined };

/** Whether this inbox can serve this device: whole, and nothing that the device needs was taken for its age (decision 10). */
function serves(world: World, inbox: Inbox | undefined, device: DeviceName): inbox is Inbox {
  if (!inbox || inbox.partial) return false;
  const cursor = inbox.cursors[device];
  if (cursor !== undefined && cursor < inbox.agedTo && world.rule('ageMark')) {
    inbox.partial = true;
    return false;
  }
  return true;
}

/** Replaces the device's older session, registers this one, and says where the device stands, where that is known (decision 13). */
export function connect(world: World, at: Script, asker: Asker): Connected {
  const sessions = sessionsOf(at, asker.user);
  const replaced: Connected['replaced'] = [];
  for (const [connection, session] of Object.entries(sessions)) {
    if (session.device !== asker.device) continue;
    replaced.push({ connection, slot: session.slot });
    delete sessions[connection];
  }
  sessions[asker.connection] = {
    slot: asker.slot,
    lease: asker.lease,
    device: asker.device,
    since: at.now,
    mode: 'draining',
    sent: undefined,
  };
  const inbox = findInbox(world, at, asker.user);
  const cursor = inbox?.cursors[asker.device];
  if (!serves(world, inbox, asker.device) || cursor === undefined) return { replaced, standing: undefined };
  inbox.seen[asker.device] = at.now;
  return { replaced, standing: { generation: inbox.generation, acked: cursor, tail: inbox.tail } };
}

export type Asserted = 'fine' | 'replaced' | 'unknown';

/** What a gateway says again of each of its connections: a session that a loss took is put back (decision 13). */
export function reassert(world: World, at: Script, asker: Asker, generation: number | undefined): Asserted {
  const sessions = sessionsOf(at, asker.user);
  const mine = sessions[asker.connection];
  if (!mine) {
    if (Object.values(sessions).some((other) => other.device === asker.device)) return 'replaced';
    sessions[asker.connection] = {
      slot: asker.slot,
      lease: asker.lease,
      device: asker.device,
      since: at.now,
      mode: 'draining',
      sent: undefined,
    };
  }
  const inbox = findInbox(world, at, asker.user);
  if (inbox?.cursors[asker.device] !== undefined) inbox.seen[asker.device] = at.now;
  return mine && inbox && !inbox.partial && inbox.generation === generation ? 'fine' : 'unknown';
}

/** Compare-and-delete: a connection that was replaced takes nothing with it. */
export function disconnect(world: World, at: Script, asker: Asker): void {
  const sessions = sessionsOf(at, asker.user);
  const session = sessions[asker.connection];
  if (!world.rule('disconnectCompares')) {
    for (const [connection, other] of Object.entries(sessions))
      if (other.device === asker.device) delete sessions[connection];
  }
  delete sessions[asker.connection];
  const inbox = findInbox(world, at, asker.user);
  const cursor = inbox?.cursors[asker.device];
  if (!session || !inbox || inbox.partial || cursor === undefined) return;
  inbox.seen[asker.device] = at.now;
  suspect(at, inbox, session, cursor);
}

/**
 * Counts the connections that ended with one entry alone unacked. The entry at the head of two that ended, whatever else was under
 * way, is suspected, and goes alone to the next (decision 16).
 */
function suspect(at: Script, inbox: Inbox, session: Session, cursor: number): void {
  const seq = cursor + 1;
  if (at.now - session.since < POISON_CONNECTION_TICKS || (session.sent ?? 0) < seq) return;
  const before = inbox.suspects[session.device];
  const known = before?.seq === seq ? before : { seq, ends: 0, connections: 0, since: at.now };
  inbox.suspects[session.device] = known;
  known.ends++;
  if (session.sent === seq) known.connections++;
}

/** The entry that a device dies of each time it gets it, if there is one. */
export function poisonOf(
  world: World,
  at: Script,
  user: User,
  device: DeviceName,
): { entry: Entry; generation: number } | undefined {
  const inbox = findInbox(world, at, user);
  const known = inbox?.suspects[device];
  if (!inbox || inbox.partial || known?.seq !== (inbox.cursors[device] ?? -1) + 1) return undefined;
  if (known.connections < POISON_CONNECTIONS || at.now - known.since < POISON_TICKS) return undefined;
  const entry = inbox.entries.find((candidate) => candidate.seq === known.seq);
  return entry && { entry, generation: inbox.generation };
}

export type Opened = 'gone' | 'rebuild' | Hint;

/** The first page of a connection (decision 14). */
export function open(world: World, at: Script, user: User, device: DeviceName, connection: ConnectionId): Opened {
  const inbox = findInbox(world, at, user);
  const session = sessionsOf(at, user)[connection];
  if (!session) return 'gone';
  if (!serves(world, inbox, device)) return 'rebuild';
  if (!ensureCursor(world, at, user, inbox, device)) return 'rebuild';
  session.sent = undefined;
  const page = release(world, at, inbox, session);
  const { generation, tail } = inbox;
  return {
    connection,
    generation,
    welcome: { acked: inbox.cursors[device] ?? 0, tail },
    page,
    ...drainedAt(inbox, session),
  };
}

/**
 * Makes a device in a whole inbox, a later one at the tail, and notes in the same step what that is in the log: a rebuild knows
 * nothing else (decisions 7, 11). @returns what its row is to say; undefined where the inbox can't tell, or knows the device
 */
export function noteStart(world: World, at: Script, user: User, device: DeviceName): number[] | 'first' | undefined {
  const inbox = findInbox(world, at, user);
  if (!inbox || inbox.partial || !world.rule('startNoted')) return undefined;
  if (inbox.cursors[device] !== undefined) return inbox.noted[device];
  const others = Object.keys(inbox.cursors);
  inbox.seen[device] = at.now;
  inbox.cursors[device] = others.length === 0 ? firstStart(world, inbox) : inbox.tail;
  const ends = world.kafka.incoming.map((_, partition) => (inbox.lastEnqueued[partition] ?? -1) + 1);
  inbox.noted[device] = others.length === 0 ? 'first' : ends;
  world.checker.onDeviceMade(user, device);
  return inbox.noted[device];
}

/**
 * A device without a cursor: a user's first starts at the first entry kept, a later one at the tail, whoever is still active
 * (docs/adr/0016). @returns false where its row says otherwise than the inbox: a rebuild goes by the row
 */
export function ensureCursor(world: World, at: Script, user: User, inbox: Inbox, device: DeviceName): boolean {
  inbox.seen[device] = at.now;
  const row = world.dynamo.devices.get(user)?.get(device);
  const noted = inbox.noted[device];
  if (noted !== undefined) {
    inbox.partial = String(noted) !== String(row?.start ?? 'first');
    delete inbox.noted[device];
    return !inbox.partial;
  }
  if (inbox.cursors[device] !== undefined) return true;
  const others = Object.keys(inbox.cursors);
  // A rebuild has missed it: made by the next look, which moves its row.
  if (others.length > 0 && row?.start && world.rule('startNoted')) return false;
  inbox.cursors[device] = others.length === 0 ? firstStart(world, inbox) : inbox.tail;
  world.checker.onDeviceMade(user, device);
  return true;
}

/** A user's first device starts at the first entry ever kept: what the cap took before it came is a gap for it too. */
const firstStart = (world: World, inbox: Inbox): number =>
  inbox.overflowTo > inbox.agedTo && world.rule('overflowBeforeFirst') ? inbox.agedTo : inbox.base;

/** The next generation for a connection: where it stands now, and its first page. */
export function reset(
  world: World,
  at: Script,
  user: User,
  connection: ConnectionId,
): { slot: number; hint: Hint } | undefined {
  const inbox = findInbox(world, at, user);
  const session = sessionsOf(at, user)[connection];
  if (!inbox || inbox.partial || !session) return undefined;
  const acked = inbox.cursors[session.device];
  if (acked === undefined) return undefined;
  session.sent = undefined;
  const page = release(world, at, inbox, session);
  return {
    slot: session.slot,
    hint: {
      connection,
      generation: inbox.generation,
      reset: { acked, tail: inbox.tail },
      page,
      ...drainedAt(inbox, session),
    },
  };
}

export type AckReply =
  | 'partial'
  | 'stale'
  | 'refused'
  | { hint: Hint | undefined; slot: number | undefined; empty: boolean };

/** @param position what the gateway sent at that seq: a mismatch means that it was another entry (decision 14). -1: a gap, or unknown. */
export function ack(
  world: World,
  at: Script,
  asker: Omit<Asker, 'slot' | 'lease'>,
  generation: number,
  seq: number,
  position: number,
): AckReply {
  const { user, device, connection } = asker;
  const inbox = findInbox(world, at, user);
  if (!inbox || inbox.partial || inbox.cursors[device] === undefined) return 'partial';
  if (inbox.generation !== generation) return 'stale';
  const entry = inbox.entries.find((candidate) => candidate.seq === seq);
  if (entry && position >= 0 && entry.position !== position && world.rule('ackPosition')) return 'refused';
  const { empty } = moveCursor(world, at, user, inbox, device, seq);
  return { ...nextPage(world, at, user, inbox, connection), empty };
}

/** For this device, and it alone, the entry counts as acked; a gap stands in its place (decision 16). */
export function nack(
  world: World,
  at: Script,
  asker: Omit<Asker, 'slot' | 'lease'>,
  generation: number,
  seq: number,
): AckReply {
  const { user, device, connection } = asker;
  const inbox = findInbox(world, at, user);
  const cursor = inbox?.cursors[device];
  if (!inbox || inbox.partial || cursor === undefined) return 'partial';
  if (inbox.generation !== generation) return 'stale';
  if (seq > cursor && seq <= inbox.tail) {
    inbox.beyond[device] ??= {};
    inbox.beyond[device][seq] = 'nacked';
    world.checker.onRefused(user, device, generation, seq);
  }
  const { empty } = moveCursor(world, at, user, inbox, device, cursor);
  return { ...nextPage(world, at, user, inbox, connection), empty };
}

/** Each ack releases the next page (decision 14). */
function nextPage(
  world: World,
  at: Script,
  user: User,
  inbox: Inbox,
  connection: ConnectionId,
): { hint: Hint | undefined; slot: number | undefined } {
  const session = sessionsOf(at, user)[connection];
  if (session?.mode !== 'draining') return { hint: undefined, slot: session?.slot };
  const page = release(world, at, inbox, session);
  const drained = drainedAt(inbox, session);
  const hint =
    page.length > 0 || drained.drained !== undefined
      ? { connection, generation: inbox.generation, page, ...drained }
      : undefined;
  return { hint, slot: session.slot };
}

export type Refilled = 'gone' | 'rebuild' | 'reset' | { slot: number; tooLow: boolean; hint: Hint };

/** From what the gateway has really written; the session goes on from there (decision 12). */
export function refill(
  world: World,
  at: Script,
  user: User,
  connection: ConnectionId,
  generation: number,
  from: number,
): Refilled {
  const inbox = findInbox(world, at, user);
  const session = sessionsOf(at, user)[connection];
  if (!session) return 'gone';
  if (!inbox || inbox.partial) return 'rebuild';
  if (generation !== inbox.generation) return 'reset';
  const { device, slot } = session;
  const cursor = inbox.cursors[device] ?? inbox.base;
  // What is gone from the list and is no gap either was acked, or has aged: only a new connection can sort that out.
  const tooLow = from <= inbox.base && (cursor >= inbox.base || from <= inbox.agedTo);
  const room = Math.max(0, windowEnd(inbox, device) - from + 1);
  const page = tooLow ? [] : pageAfter(world, at, inbox, device, from - 1, Math.min(PAGE, room));
  if (!tooLow && world.rule('probe')) {
    session.sent = page.at(-1)?.seq ?? from - 1;
    session.mode = session.sent >= inbox.tail ? 'live' : 'draining';
  }
  return { slot, tooLow, hint: { connection, generation, page, ...drainedAt(inbox, session) } };
}
