import { decodeDeadLetter, TOPICS, type UserEvent } from '@restante/shared/contract/events';
import { ensureDevice, readDevices } from '@restante/shared/inbox/devices-dynamo';
import { entryAt, inboxEntry, positions } from '@restante/shared/inbox/test-inbox';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { readCursors } from './cursors-dynamo.ts';
import { onUserEvents, PAGES_AT_ONCE } from './on-user-event.ts';
import { NotificationRig } from './test-notification.ts';

const notification = new NotificationRig();
const { rig } = notification;
const SOON = { timeout: 30_000, interval: 20 };
beforeAll(() => notification.start());
afterAll(() => notification.stop());
beforeEach(() => {
  notification.producer.sent.splice(0);
});

const on = async (...events: (UserEvent | Buffer)[]) => {
  const { durable } = await onUserEvents(notification.batch(events), notification.context);
  return { durable };
};
/** And waits until the cursors are durable, which they become once a second. */
const onDurably = async (...events: UserEvent[]) => {
  await (await on(...events)).durable;
};
const session = (device = 'd1', conn = `c-${device}`) => ({ user: rig.user, device, conn, slot: 1 });
const connected = (device = 'd1', conn = `c-${device}`): UserEvent => ({
  t: 'user_connected',
  ...session(device, conn),
  lease: 'lease',
  at: 1,
});
const acked = (gen: number, seq: number, position: number): UserEvent => ({
  t: 'acked',
  ...session(),
  gen,
  seq,
  position,
});
const letters = () =>
  notification.producer.sent.flatMap(({ topic, value }) => {
    const decoded = decodeDeadLetter(Buffer.from(value));
    return topic === TOPICS.deadLetters && decoded.ok ? [decoded.value] : [];
  });
/** A whole inbox with this many entries and a connection of a device that waits for them. */
async function waiting(count: number): Promise<number> {
  await rig.whole();
  await rig.enqueue(positions(1, count));
  const reply = await rig.connect('d1');
  if (reply.is !== 'ok') throw new Error(reply.is);
  return reply.gen;
}

describe('a connection', () => {
  it('is told where it begins, gets the first page, and the next with each ack, to the end', async () => {
    const gen = await waiting(14);
    await on(connected());
    expect(notification.told()).toEqual([
      { slot: 1, t: 'reset', conn: 'c-d1', gen, acked: 0, tail: 14 },
      { slot: 1, t: 'deliver', conn: 'c-d1', gen, q: 1, r: 0, positions: positions(1, 10) },
    ]);
    await on(acked(gen, 2, 2), acked(gen, 10, 10));
    expect(notification.told()).toEqual([
      { slot: 1, t: 'deliver', conn: 'c-d1', gen, q: 11, r: 0, positions: [11, 12] },
      { slot: 1, t: 'deliver', conn: 'c-d1', gen, q: 13, r: 0, positions: [13, 14] },
      { slot: 1, t: 'drained', conn: 'c-d1', gen, seq: 14 },
    ]);
  });

  it('that took the place of another closes that one', async () => {
    await waiting(0);
    await on({ ...(connected() as object), replaced: { conn: 'older', slot: 7 } } as UserEvent);
    expect(notification.told()).toMatchObject([
      { slot: 7, t: 'close', conn: 'older', code: 4003 },
      { t: 'reset' },
      { t: 'drained', seq: 0 },
    ]);
  });

  it('that missed something gets it again from there, or is told to connect again', async () => {
    const gen = await waiting(5);
    await on(connected());
    notification.told();
    await on({ t: 'refill', ...session(), gen, from: 4 });
    expect(notification.told()).toMatchObject([
      { t: 'deliver', q: 4, positions: [4, 5] },
      { t: 'drained', seq: 5 },
    ]);
    await on(acked(gen, 3, 3), { t: 'refill', ...session(), gen, from: 2 });
    expect(notification.told()).toMatchObject([{ t: 'close', conn: 'c-d1', code: 4000 }]);
  });

  it('whose acks do not match what was sent is closed, and nothing moves', async () => {
    const gen = await waiting(3);
    await on(connected());
    notification.told();
    await on(acked(gen, 2, 999));
    expect(notification.told()).toMatchObject([{ t: 'close', code: 4000 }]);
    expect(await rig.cursor('d1')).toBe(0);
  });

  it('in another generation begins anew', async () => {
    const gen = await waiting(3);
    await on(connected(), acked(gen + 1, 1, 1));
    expect(notification.told().slice(-3)).toMatchObject([
      { t: 'reset', gen, acked: 0, tail: 3 },
      { t: 'deliver', q: 1, positions: [1, 2, 3] },
      { t: 'drained', seq: 3 },
    ]);
  });

  it('that ends is no session any more', async () => {
    await waiting(1);
    await on({ t: 'user_disconnected', ...session(), at: 1 });
    expect(await rig.store.client.hlen(rig.keys().sessions)).toBe(0);
  });

  it('shows durably that its device was there, by its begin and by its end, though it had nothing to ack', async () => {
    await waiting(0);
    const row = (device: string, now: number) =>
      ensureDevice(notification.dynamo, rig.user, device, now, '', async () => new Map());
    const seenAt = async () =>
      Object.fromEntries((await readDevices(notification.dynamo, rig.user)).map((one) => [one.device, one.seenAt]));
    for (const device of ['d1', 'd2', 'd3', 'd4']) await row(device, 1);
    expect(await seenAt()).toEqual({ d1: 1, d2: 1, d3: 1, d4: 1 });
    // Its gateway has just written it.
    await on({ ...connected('d4'), seen: true } as UserEvent, { t: 'user_disconnected', ...session('d4'), at: 1 });
    await on(connected('d1'), { t: 'user_disconnected', ...session('d2'), at: 1 });
    await vi.waitFor(async () => {
      const seen = await seenAt();
      expect(seen.d1).toBeGreaterThan(1);
      expect(seen.d2).toBeGreaterThan(1);
    }, SOON);
    expect((await seenAt()).d4).toBe(1);
    // Where its inbox is lost, its gateway asks for the row before it begins.
    await row('d3', 2);
    expect((await seenAt()).d3).toBe(2);
  });

  it('of an inbox that is lost waits for the rebuild, which begins it', async () => {
    await waiting(3);
    await on(connected());
    notification.told();
    await rig.store.client.hset(rig.keys().meta, 'store', 'another');
    await rig.enqueue([4]);
    notification.cut = new Map([[0, 4]]);
    await on({ t: 'refill', ...session(), gen: 1, from: 1 });
    await vi.waitFor(async () => expect((await rig.dueCheck()).is).toBe('whole'), SOON);
    // No row says that there is a device: the rebuild knows none, and the connection is told to come again.
    expect(await rig.listed()).toEqual([4]);
  });
});

describe('acks', () => {
  it('are durable once their cursors are', async () => {
    const gen = await waiting(3);
    await onDurably(connected(), acked(gen, 2, 2));
    expect([...(await readCursors(notification.dynamo, rig.user))]).toEqual([['d1#dm:alice:bob', 2]]);
    expect(await rig.inbox.ackedMarks(rig.user)).toEqual({});
  });

  it('that are handled again change nothing, and never take a durable cursor back', async () => {
    const gen = await waiting(3);
    await onDurably(connected(), acked(gen, 3, 3));
    await rig.store.client.hset(rig.keys().acked, 'd1#dm:alice:bob', '1');
    await onDurably(acked(gen, 2, 2), acked(gen, 3, 3));
    expect([...(await readCursors(notification.dynamo, rig.user)).values()]).toEqual([3]);
    expect(await rig.cursor('d1')).toBe(3);
  });

  it('by HTTP release what the socket of the device waits for', async () => {
    const gen = await waiting(12);
    await on(connected());
    notification.told();
    await rig.ack('d1', gen, 10, 0, '');
    await onDurably({ t: 'acked_by_http', user: rig.user, device: 'd1' });
    expect(notification.told()).toMatchObject([
      { t: 'reset', acked: 10 },
      { t: 'deliver', q: 11, positions: [11, 12] },
      { t: 'drained', seq: 12 },
    ]);
    expect([...(await readCursors(notification.dynamo, rig.user)).values()]).toEqual([10]);
  });
});

describe('when all come back at once', () => {
  const LIGHT = 300;
  const ENTRIES = 8;
  const BODY_BYTES = 8_000;

  /** A user who waits with this many entries. @returns the event of the connection */
  async function comesBack(count: number, body: string): Promise<UserEvent> {
    await rig.whole();
    const { inbox, user } = rig;
    const entries = positions(1, count).map((position) => inboxEntry(position, { entry: entryAt(position, { body }) }));
    for (let i = 0; i < count; i += 500) await inbox.run([inbox.enqueueCall(user, 0, entries.slice(i, i + 500))]);
    await rig.connect('d1', user);
    return connected('d1', user);
  }
  const ackedBy = ({ user }: UserEvent, gen: number, seq: number): UserEvent => ({
    ...{ t: 'acked', user, device: 'd1', conn: user, slot: 1 },
    ...{ gen, seq, position: seq },
  });
  type Told = { t: string; conn: string; gen: number; positions: number[] };
  const toldOf = (all: Told[], t: string, user: string) => all.filter((op) => op.t === t && op.conn === user);

  it('an inbox of hundreds takes its turn, a page a time, and holds nobody up; what is read is bounded', async () => {
    const heavy = await comesBack(900, 'x');
    const light: UserEvent[] = [];
    // Another text for each: what is the same for many is in a record once.
    for (let i = 0; i < LIGHT; i++) light.push(await comesBack(ENTRIES, `${i} `.padEnd(BODY_BYTES, 'y')));
    notification.producer.mostHeldBytes = 0;
    await on(heavy, ...light);
    const told = notification.told() as Told[];
    const pages = toldOf(told, 'deliver', heavy.user);
    expect(pages.map((page) => page.positions)).toEqual([positions(1, 10)]);
    for (const { user } of light) {
      expect(toldOf(told, 'deliver', user).flatMap((page) => page.positions)).toEqual(positions(1, ENTRIES));
      expect(toldOf(told, 'drained', user)).toHaveLength(1);
    }
    const pageBytes = ENTRIES * (BODY_BYTES + 300);
    expect(notification.producer.mostHeldBytes).toBeGreaterThan(PAGES_AT_ONCE * ENTRIES * BODY_BYTES);
    expect(notification.producer.mostHeldBytes).toBeLessThan((PAGES_AT_ONCE + 1) * pageBytes);

    // Its acks release a page each, however many come at once, between the others of the batch.
    const { gen } = pages[0]!;
    await on(ackedBy(heavy, gen, 5), light[0]!, ackedBy(heavy, gen, 10), light[1]!);
    const next = (notification.told() as Told[]).filter((op) => op.t === 'deliver' && op.conn === heavy.user);
    expect(next.flatMap((page) => page.positions)).toEqual(positions(11, 20));
  });
});

describe('an entry that a device can not process', () => {
  it('is in the dead letters, counts as acked, and keeps its place among the events', async () => {
    const gen = await waiting(4);
    const nacked: UserEvent = { t: 'nacked', ...session(), gen, seq: 2, position: 2, reason: 'no key' };
    await on(connected(), acked(gen, 1, 1), nacked, acked(gen, 3, 3));
    expect(letters()).toMatchObject([
      { source: `inbox/${rig.user}/d1/${gen}/2`, reason: 'nacked: no key', user: rig.user, device: 'd1', seq: 2 },
    ]);
    const entry = Buffer.from(letters()[0]!.valueBase64!, 'base64').toString();
    expect(JSON.parse(entry)).toMatchObject({ t: 'message', position: 2 });
    expect(await rig.cursor('d1')).toBe(3);
    notification.producer.sent.splice(0);
    await on(nacked);
    expect(letters()).toEqual([]);
  });

  it('is found by the ends of its connections too', async () => {
    const gen = await waiting(2);
    // By two it is suspected and sent alone from then on, by two more it is known.
    for (let i = 0; i < 4; i++) {
      expect(letters()).toEqual([]);
      await on(connected(), { t: 'user_disconnected', ...session(), at: 1 });
      await rig.connect('d1');
    }
    expect(letters()).toMatchObject([
      { source: `inbox/${rig.user}/d1/${gen}/1`, reason: expect.stringContaining('alone unacked') },
    ]);
    expect(await rig.cursor('d1')).toBe(1);
  });
});

describe('a record that is none of ours', () => {
  it('goes to the dead letters, and the others are handled', async () => {
    const gen = await waiting(1);
    await on(Buffer.from('garbage'), connected(), Buffer.from(JSON.stringify({ t: 'acked' })), acked(gen, 1, 1));
    expect(letters().map(({ topic, reason }) => [topic, reason.length > 0])).toEqual([
      [TOPICS.userEvents, true],
      [TOPICS.userEvents, true],
    ]);
    expect(await rig.cursor('d1')).toBe(1);
  });
});
