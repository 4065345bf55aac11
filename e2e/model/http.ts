import { PAGE, WINDOW } from './config.ts';
import type { ClientFrame } from './connection.ts';
import type { Device } from './device.ts';
import type { Gateway } from './gateway.ts';
import { findInbox, moveCursor, pageAfter } from './inbox-scripts.ts';
import { type Entry, isGap, type PageEntry } from './records.ts';
import type { Inbox, Script } from './redis.ts';
import type { Steps } from './scheduler.ts';
import type { World } from './world.ts';

const TIMEOUT = 300;
const LOST_RESPONSE_PROBABILITY = 0.2;
const ASK_AGAIN = 40;

/** A request to a gateway. @returns undefined where no answer came: the gateway died or slept, or the response was lost. */
function* request<T>(world: World, handler: (gateway: Gateway) => Steps<T>): Steps<T | undefined> {
  const ready = world.gateways.filter((gateway) => gateway.ready);
  if (ready.length === 0) {
    yield 20;
    return undefined;
  }
  const gateway = world.random.pick(ready);
  const exchange: { answer: T | undefined; done: boolean } = { answer: undefined, done: false };
  const lost = world.fault('http') && !world.calm && world.random.chance(LOST_RESPONSE_PROBABILITY);
  world.scheduler.spawn(
    gateway.process,
    (function* () {
      const answer = yield* handler(gateway);
      if (lost) return;
      exchange.answer = answer;
      exchange.done = true;
    })(),
  );
  const until = world.scheduler.now + TIMEOUT;
  yield () => exchange.done || world.scheduler.now >= until;
  return exchange.answer;
}

/** `POST /v1/messages`: accepted once it is in the log. */
export function* send(world: World, device: Device, frame: Extract<ClientFrame, { t: 'send' | 'delete' }>): Steps {
  const accepted = yield* request(world, function* (gateway) {
    yield;
    world.kafka.appendIncoming(gateway.process, { ...frame, from: device.user, answerTo: undefined });
    yield;
    return true;
  });
  if (accepted) device.accepted.add(frame.id);
}

type Synced = { generation: number; acked: number; tail: number; page: PageEntry[] };

/** `GET /v1/messages/sync`, then the ack of what it brought: a client without a socket. @returns whether there is more. */
export function* pull(world: World, device: Device): Steps<boolean> {
  const { checker, random } = world;
  const synced = yield* request(world, (gateway) => sync(world, gateway, device));
  if (!synced) return true;
  const { generation, acked, tail, page } = synced;
  device.generation = generation;
  device.lastSeq = acked;
  checker.onConfirmed(device, generation, acked);
  for (const entry of page) {
    world.log(`${device.name} pulls ${generation}/${entry.seq}`, isGap(entry) ? entry : entry.id);
    checker.onDelivered(device, generation, device.lastSeq, entry);
    device.lastSeq = entry.seq;
  }
  yield random.integer(0, 20);
  const entries = page.filter((entry): entry is Entry => !isGap(entry));
  const byIds = entries.length === page.length && random.chance(0.5);
  // It may get on with some of them only, in any order, and ack these by id: what is left comes again.
  const taken = byIds ? entries.filter(() => random.chance(0.7)) : entries;
  for (const entry of taken) device.store(entry);
  const what = byIds ? taken.map((entry) => entry.id) : device.lastSeq;
  if (page.length > 0) yield* request(world, (gateway) => ack(world, gateway, device, generation, what));
  device.ackedSeq = device.lastSeq;
  world.count('pull');
  device.lastOnlineAt = world.scheduler.now;
  return device.lastSeq < tail || byIds;
}

/** @returns undefined where the inbox was not whole in time: the client asks again. */
function* sync(world: World, gateway: Gateway, device: Device): Steps<Synced | undefined> {
  const { user, name } = device;
  const until = world.scheduler.now + TIMEOUT;
  while (world.scheduler.now < until) {
    const synced = yield* world.redis.forUser(gateway.process, user, `sync ${name} of`, (at) =>
      syncScript(world, at, device),
    );
    if (synced) return synced;
    world.kafka.appendEvent({ t: 'rebuild_requested', user, device: name });
    yield ASK_AGAIN;
  }
  return undefined;
}

/** Takes nothing out. @returns undefined where the inbox is not whole, or doesn't know the device. */
function syncScript(world: World, at: Script, device: Device): Synced | undefined {
  const inbox = findInbox(world, at, device.user);
  const acked = inbox?.cursors[device.name];
  if (!inbox || inbox.partial || acked === undefined) return undefined;
  if (acked < inbox.agedTo && world.rule('ageMark')) {
    inbox.partial = true;
    return undefined;
  }
  inbox.seen[device.name] = at.now;
  const { generation, tail } = inbox;
  const page = pageAfter(world, at, inbox, device.name, acked, PAGE * 2);
  if (!world.rule('syncTakesNothing'))
    moveCursor(world, at, device.user, inbox, device.name, page.at(-1)?.seq ?? acked);
  return { generation, acked, tail, page };
}

function* ack(
  world: World,
  gateway: Gateway,
  device: Device,
  generation: number,
  what: number | string[],
): Steps<boolean> {
  const { user, name } = device;
  yield* world.redis.forUser(gateway.process, user, `ack ${name} ${generation}/${what} by http of`, (at) => {
    const inbox = findInbox(world, at, user);
    if (!inbox || inbox.partial || inbox.cursors[name] === undefined) return false;
    if (Array.isArray(what)) ackIds(world, at, inbox, device, what);
    else if (inbox.generation === generation) moveCursor(world, at, user, inbox, name, what);
    return true;
  });
  world.kafka.appendEvent({ t: 'acked_by_http', user, device: name });
  return true;
}

/** Ids beyond a hole are remembered, and count once it closes. */
function ackIds(world: World, at: Script, inbox: Inbox, device: Device, ids: readonly string[]): void {
  const cursor = inbox.cursors[device.name] ?? inbox.base;
  const seqs = inbox.entries.filter((entry) => entry.seq > cursor && ids.includes(entry.id)).map((entry) => entry.seq);
  if (world.rule('holesRemembered')) {
    inbox.beyond[device.name] ??= {};
    for (const seq of seqs) (inbox.beyond[device.name] as Record<number, string>)[seq] ??= 'acked';
    moveCursor(world, at, device.user, inbox, device.name, cursor);
  } else
    moveCursor(
      world,
      at,
      device.user,
      inbox,
      device.name,
      Math.max(cursor, ...seqs.filter((seq) => seq <= cursor + WINDOW)),
    );
}
