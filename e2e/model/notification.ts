import { ensure } from './dynamo.ts';
import { findInbox } from './inbox-scripts.ts';
import type { DeadLetter } from './kafka.ts';
import { rebuild, resetConnection } from './rebuild.ts';
import type { DeviceName, Entry, User, UserEvent, UserEventOf } from './records.ts';
import type { Script } from './redis.ts';
import type { Process, Steps } from './scheduler.ts';
import { ack, ensureCursor, nack, noteStart, open, poisonOf, refill } from './session-scripts.ts';
import type { World } from './world.ts';

const COMMIT_PROBABILITY = 0.5;

/** Replays inboxes and takes acks: the worker of one partition of user_events. */
export function notificationWorker(world: World): (process: Process, partition: number, generation: number) => Steps {
  return function* work(process, partition, generation) {
    const log = world.kafka.events[partition] as UserEvent[];
    let next = world.kafka.committed('events')[partition] ?? 0;
    for (;;) {
      yield () => log.length > next;
      yield* handle(world, process, log[next] as UserEvent);
      next++;
      if (!world.random.chance(COMMIT_PROBABILITY)) continue;
      yield;
      world.kafka.commit('events', partition, generation, next);
    }
  };
}

function* handle(world: World, process: Process, event: UserEvent): Steps {
  if (event.t === 'user_connected') yield* onConnected(world, process, event);
  else if (event.t === 'user_disconnected') yield* onDisconnected(world, process, event);
  else if (event.t === 'acked') yield* onAcked(world, process, event);
  else if (event.t === 'nacked') yield* onNacked(world, process, event);
  else if (event.t === 'refill') yield* onRefill(world, process, event);
  else if (event.t === 'rebuild_requested') yield* onRebuildRequested(world, process, event);
  else yield* onAckedByHttp(world, process, event);
}

/** The first page (decision 14). A device is durable before its first welcome, with where it starts (decision 11). */
function* onConnected(world: World, process: Process, event: UserEventOf<'user_connected'>): Steps {
  const { user, device, connection, slot } = event;
  if (!world.rule('deviceDurable')) world.scheduler.spawn(process, makeDeviceLater(world, process, user, device));
  for (;;) {
    if (world.rule('deviceDurable')) yield* makeDevice(world, process, user, device);
    const opened = yield* world.redis.forUser(process, user, `open ${connection} of`, (at) =>
      open(world, at, user, device, connection),
    );
    if (opened === 'gone') return;
    if (opened === 'rebuild') yield* rebuild(world, process, user);
    else {
      yield;
      world.kafka.appendHint(slot, opened);
      return;
    }
  }
}

function* makeDevice(world: World, process: Process, user: User, device: DeviceName): Steps {
  yield;
  const rows = ensure(world.dynamo.devices, user, () => new Map());
  const seenAt = world.scheduler.now + process.clockOffset;
  const noted = yield* world.redis.forUser(process, user, `make ${device} of`, (at) =>
    noteStart(world, at, user, device),
  );
  const known = rows.get(device);
  if (known) {
    known.seenAt = Math.max(known.seenAt, seenAt);
    // Another start than a whole inbox has noted: it was never served.
    if (noted !== undefined) known.start = noted === 'first' ? undefined : noted;
    return;
  }
  const isFirst = noted === 'first' || (noted === undefined && rows.size === 0);
  const start = isFirst ? undefined : (noted ?? world.kafka.ends());
  yield;
  if (!rows.has(device)) rows.set(device, { start, bornAt: seenAt, seenAt });
}

function* makeDeviceLater(world: World, process: Process, user: User, device: DeviceName): Steps {
  yield world.random.integer(0, 400);
  yield* makeDevice(world, process, user, device);
}

/** A device that dies of an entry each time is delivered past it (decision 16). */
function* onDisconnected(world: World, process: Process, event: UserEventOf<'user_disconnected'>): Steps {
  const { user, device, connection } = event;
  if (!world.rule('poison')) return;
  const found = yield* world.redis.forUser(process, user, '', (at) => poisonOf(world, at, user, device));
  if (!found) return;
  const { entry, generation } = found;
  yield* deadLetter(world, user, device, entry.id, 'poison');
  yield* world.redis.forUser(process, user, `poison ${entry.id} for ${device} of`, (at) =>
    nack(world, at, { user, device, connection }, generation, entry.seq),
  );
}

function* deadLetter(world: World, user: User, device: DeviceName, id: string, reason: DeadLetter['reason']): Steps {
  yield;
  world.kafka.appendDeadLetter({ user, device, id, reason });
}

function* onAcked(world: World, process: Process, event: UserEventOf<'acked'>): Steps {
  const { user, device, connection, generation, seq, position } = event;
  const reply = yield* world.redis.forUser(process, user, `ack ${device} ${generation}/${seq} of`, (at) =>
    ack(world, at, { user, device, connection }, generation, seq, position),
  );
  yield* answer(world, process, user, connection, reply);
}

/**
 * In the dead letters first: what is not there must not count as acked. The event says itself what was refused, for the
 * list may not have it any more.
 */
function* onNacked(world: World, process: Process, event: UserEventOf<'nacked'>): Steps {
  const { user, device, connection, generation, seq, position } = event;
  const asker = { user, device, connection };
  const found = yield* world.redis.forUser(process, user, '', (at) =>
    refusedBy(world, at, user, generation, seq, position),
  );
  const id = found === 'gone' ? (world.rule('nackSaysWhat') ? event.id : undefined) : found?.id;
  if (id !== undefined && world.rule('deadLetterFirst')) yield* deadLetter(world, user, device, id, 'nacked');
  const reply = yield* world.redis.forUser(process, user, `nack ${device} ${generation}/${seq} of`, (at) =>
    nack(world, at, asker, generation, found ? seq : 0),
  );
  if (id !== undefined && !world.rule('deadLetterFirst')) yield* deadLetter(world, user, device, id, 'nacked');
  yield* answer(world, process, user, connection, reply);
}

/** @returns undefined where the inbox is another one by now, or another entry is at that seq: it will be sent again. */
function refusedBy(
  world: World,
  at: Script,
  user: User,
  generation: number,
  seq: number,
  position: number,
): Entry | 'gone' | undefined {
  const inbox = findInbox(world, at, user);
  if (!inbox || inbox.partial || inbox.generation !== generation) return undefined;
  const entry = inbox.entries.find((candidate) => candidate.seq === seq);
  if (!entry) return 'gone';
  return entry.position === position || !world.rule('ackPosition') ? entry : undefined;
}

/** Each ack releases the next page; an older generation's is answered by the new one (decisions 13, 14). */
function* answer(world: World, process: Process, user: User, connection: string, reply: ReturnType<typeof ack>): Steps {
  if (reply === 'stale') yield* resetConnection(world, process, user, connection);
  if (typeof reply === 'string') return;
  if (reply.hint && reply.slot !== undefined) {
    yield;
    world.kafka.appendHint(reply.slot, reply.hint);
  }
  if (reply.empty && !world.rule('dueCompares')) {
    yield* world.redis.shared(process, '', (at) => {
      delete at.state.due[user];
    });
  }
}

function* onRefill(world: World, process: Process, event: UserEventOf<'refill'>): Steps {
  const { user, connection, generation, from } = event;
  const refilled = yield* world.redis.forUser(
    process,
    user,
    `refill ${connection} from ${generation}/${from} of`,
    (at) => refill(world, at, user, connection, generation, from),
  );
  if (refilled === 'gone') return;
  if (refilled === 'rebuild' || refilled === 'reset') {
    if (!world.rule('probe')) return;
    if (refilled === 'rebuild') yield* rebuild(world, process, user);
    yield* resetConnection(world, process, user, connection);
    return;
  }
  if (refilled.tooLow && !world.rule('refillCloses')) return;
  yield;
  world.kafka.appendHint(refilled.slot, refilled.tooLow ? { connection, generation, close: 'refill' } : refilled.hint);
}

/** Somebody without a socket waits for the inbox to be whole and its device to be known. */
function* onRebuildRequested(world: World, process: Process, event: UserEventOf<'rebuild_requested'>): Steps {
  const { user, device } = event;
  yield* makeDevice(world, process, user, device);
  yield* rebuild(world, process, user);
  yield* world.redis.forUser(process, user, `make ${device} of`, (at) => {
    const inbox = findInbox(world, at, user);
    if (inbox && !inbox.partial) ensureCursor(world, at, user, inbox, device);
  });
}

/** The gateway has moved the cursor itself: what is left is the next page for a socket of the same device. */
function* onAckedByHttp(world: World, process: Process, event: UserEventOf<'acked_by_http'>): Steps {
  const { user, device } = event;
  const standing = yield* world.redis.forUser(process, user, '', (at) => {
    const inbox = findInbox(world, at, user);
    const session = Object.entries(at.state.sessions[user] ?? {}).find(([, candidate]) => candidate.device === device);
    return inbox && !inbox.partial && session ? { connection: session[0], generation: inbox.generation } : undefined;
  });
  if (!standing) return;
  const { connection, generation } = standing;
  const reply = yield* world.redis.forUser(process, user, '', (at) =>
    ack(world, at, { user, device, connection }, generation, 0, -1),
  );
  yield* answer(world, process, user, connection, reply);
}
