import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InboxRig } from './test-inbox.ts';

const rig = new InboxRig();
/** Every connection of it lasted long enough to count. */
const lasting = new InboxRig({ poison: { connections: 2, connectionMs: 0, spanMs: 0 } });
const strict = new InboxRig({ poison: { connections: 3, connectionMs: 60_000, spanMs: 120_000 } });

beforeAll(() => Promise.all([rig.ready(), lasting.ready(), strict.ready()]));
afterAll(() => Promise.all([rig.close(), lasting.close(), strict.close()]));

const sessionNames = async (of = rig) => Object.keys(await of.store.client.hgetall(of.keys().sessions)).sort();

describe('connect', () => {
  it('serves a device only when told that it is durable', async () => {
    await rig.whole();
    const made = { is: 'new', start: 'first', yieldedDevice: undefined };
    expect(await rig.connect('d1', 'c1', { row: '' })).toEqual(made);
    expect(await rig.connect('d1', 'c1', { row: '' })).toEqual(made);
    expect(await sessionNames()).toEqual([]);
    expect(await rig.connect('d1', 'c1', { row: 'first' })).toMatchObject({ is: 'ok', acked: 0, tail: 0 });
    expect(await rig.connect('d1', 'c2', { row: '' })).toMatchObject({ is: 'ok', replaced: { conn: 'c1' } });
  });

  it('makes a later device where the list ends, notes what that is in the log, and keeps for it what comes until it is durable', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20], 0);
    await rig.enqueue([2 ** 40 + 7], 3);
    const made = { is: 'new', start: `after 0:21,3:${2 ** 40 + 8}` };
    expect(await rig.connect('d2', 'c2', { row: '' })).toMatchObject(made);
    await rig.enqueue([30], 0);
    await rig.ack('d1', gen, 4, 30);
    expect(await rig.connect('d2', 'c2', { row: '' })).toMatchObject(made);
    expect(await rig.connect('d2', 'c2', { row: made.start })).toMatchObject({ is: 'ok', acked: 3, tail: 4 });
    expect(await rig.listed()).toEqual([30]);
    expect(Object.keys(await rig.meta()).filter((field) => field.startsWith('start:'))).toEqual([]);
  });

  it('has a durable row moved that says another start than a whole inbox has noted: it was never served', async () => {
    await rig.wholeWith('d1');
    await rig.enqueue([10]);
    const made = { is: 'new', start: 'after 0:11' };
    expect(await rig.connect('d2', 'c2', { row: 'after 0:5' })).toMatchObject(made);
    expect(await rig.connect('d2', 'c2', { row: 'after 0:5' })).toMatchObject(made);
    expect(await rig.connect('d2', 'c2', { row: made.start })).toMatchObject({ is: 'ok', acked: 1 });
  });

  it('forgets with a rebuild what was noted: the devices are those of the rows then', async () => {
    await rig.wholeWith('d1');
    await rig.connect('d2', 'c2', { row: '' });
    await rig.store.client.hset(rig.keys().meta, 'partial', '1');
    await rig.rebuild({ devices: 'd1,0,1,0,;' });
    expect(Object.keys(await rig.meta()).filter((field) => field.startsWith('start:'))).toEqual([]);
    expect(await rig.connect('d2', 'c2', { row: 'after 0:1' })).toMatchObject({ is: 'new', start: 'after ' });
  });

  it("starts a user's first device at the first entry ever kept, a later one at the tail", async () => {
    await rig.whole();
    await rig.enqueue([1, 2, 3]);
    expect(await rig.connect('d1')).toMatchObject({ acked: 0, tail: 3 });
    expect(await rig.connect('d2')).toMatchObject({ acked: 3, tail: 3 });
  });

  it("replaces the device's older connection, and says where that was", async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([1]);
    expect(await rig.connect('d1', 'newer', { slot: 7 })).toMatchObject({
      is: 'ok',
      gen,
      replaced: { conn: 'c-d1', slot: 1 },
    });
    expect(await sessionNames()).toEqual(['c-d2', 'newer']);
    // What the older one was sent may have reached the device.
    expect(await rig.replay('newer')).toMatchObject({ page: { firstSeq: 1, high: 1, slot: 7 } });
  });

  it('refuses more connections than a user may have, but not the replacement of one', async () => {
    await rig.wholeWith('d1', 'd2');
    expect(await rig.connect('d3', 'c3', { max: 2 })).toEqual({ is: 'too-many' });
    expect(await rig.cursor('d3')).toBeUndefined();
    expect(await rig.connect('d2', 'again', { max: 2 })).toMatchObject({ is: 'ok' });
  });

  it('takes the place of the device that was longest unseen, never of one that is connected', async () => {
    await rig.wholeWith('d1', 'd2', 'd3');
    await rig.unseen('d1', 1000);
    await rig.disconnect('c-d2');
    await rig.disconnect('c-d3');
    await rig.unseen('d2', 100);
    expect(await rig.connect('d4', 'c-d4', { row: '' })).toMatchObject({ is: 'new', yieldedDevice: 'd2' });
    expect(await rig.connect('d4')).toMatchObject({ is: 'ok' });
    expect(await rig.cursor('d2')).toBeUndefined();
    expect(await rig.cursor('d1')).toBe(0);
    await rig.live('d3');
    expect(await rig.connect('d5')).toEqual({ is: 'too-many' });
    expect(await sessionNames()).toEqual(['c-d1', 'c-d3', 'c-d4']);
  });

  it('registers the session in a partial inbox, which must be rebuilt before anything is sent', async () => {
    rig.newUser();
    await rig.enqueue([1]);
    expect(await rig.connect('d1', 'c1', { row: '' })).toMatchObject({ is: 'partial', acked: 0 });
    expect(await rig.rebuildBegin()).toMatchObject({ came: ['d1'] });
    expect(await rig.replay('c1')).toEqual({ is: 'partial' });
    expect(await sessionNames()).toEqual(['c1']);
  });

  it('finds the inbox partial where the age of entries took what the device waits for', async () => {
    await rig.wholeWith('d1');
    await rig.disconnect('c-d1');
    await rig.enqueue([1, 2]);
    await rig.age(1, 3601);
    await rig.enqueue([3]);
    expect(await rig.connect('d1')).toMatchObject({ is: 'partial' });
    expect((await rig.dueCheck()).is).toBe('partial');
  });

  it('forgets sessions that no gateway has asserted for 45 s', async () => {
    await rig.wholeWith('d1');
    const { sessions } = rig.keys();
    const old = (await rig.store.client.hget(sessions, 'c-d1'))!.replace(/,(\d{13}),(\d{13})$/, (_, at, since) => {
      return `,${Number(at) - 46_000},${since}`;
    });
    await rig.store.client.hset(sessions, 'c-d1', old);
    expect(await rig.enqueue([1])).toMatchObject({ sessionCount: 0, live: [] });
    expect(await sessionNames()).toEqual([]);
  });
});

describe('disconnect', () => {
  it('ends the session of that connection alone: a newer one of the device stays', async () => {
    await rig.wholeWith('d1');
    await rig.connect('d1', 'newer');
    await rig.disconnect('c-d1');
    expect(await sessionNames()).toEqual(['newer']);
    await rig.disconnect('newer');
    expect(await sessionNames()).toEqual([]);
    expect(await rig.disconnect('newer')).toBeUndefined();
  });

  it('says that the device was here: from now on it holds the list as long as any', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10]);
    await rig.unseen('d2', 3700);
    await rig.disconnect('c-d2');
    await rig.ack('d1', gen, 1, 10);
    expect(await rig.listed()).toEqual([10]);
  });

  it('notes how far the connection was sent: from the cursor to there it comes again as replayed', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([1, 2, 3]);
    await rig.ack('d1', gen, 1, 1);
    await rig.disconnect('c-d1');
    await rig.enqueue([4]);
    expect(await rig.connect('d1')).toMatchObject({ acked: 1, tail: 4 });
    expect(await rig.replay('c-d1')).toMatchObject({ page: { firstSeq: 2, high: 3, tail: 4, live: true } });
  });

  it('notes no more than its gateway says that it wrote, in the generation that it means', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([1, 2, 3]);
    await rig.disconnect('c-d1', { gen, seq: 2 });
    await rig.live('d1');
    expect(await rig.replay('c-d1', true)).toMatchObject({ page: { firstSeq: 1, high: 2 } });
    await rig.disconnect('c-d1', { gen: gen + 1, seq: 2 });
    await rig.live('d1');
    expect(await rig.replay('c-d1', true)).toMatchObject({ page: { firstSeq: 1, high: 3 } });
  });

  it('names an entry that was alone unacked at the end of the last connections, once they were enough', async () => {
    const gen = await lasting.wholeWith('d1');
    await lasting.enqueue([1]);
    expect(await lasting.disconnect('c-d1')).toBeUndefined();
    await lasting.live('d1');
    expect(await lasting.disconnect('c-d1')).toEqual({ gen, seq: 1 });
  });

  it('sends what may be deadly alone, after two connections that ended with it at the head, until it is acked or known to be', async () => {
    const gen = await lasting.wholeWith('d1');
    const sent = async () => {
      await lasting.connect('d1');
      const replayed = await lasting.replay('c-d1');
      return replayed.is === 'page' && [replayed.page.firstSeq, replayed.page.entries.length];
    };
    await lasting.enqueue([1, 2, 3]);
    expect(await lasting.disconnect('c-d1')).toBeUndefined();
    expect(await sent()).toEqual([1, 3]);
    expect(await lasting.disconnect('c-d1')).toBeUndefined();
    expect(await sent()).toEqual([1, 1]);
    expect((await lasting.enqueue([4])).live).toEqual([]);
    expect(await lasting.ack('d1', gen, 1, 1)).toMatchObject({
      page: { firstSeq: 2, entries: { length: 3 }, live: true },
    });

    for (const found of [undefined, undefined, undefined, { gen, seq: 2 }]) {
      expect(await lasting.disconnect('c-d1')).toEqual(found);
      expect((await sent()) || []).toHaveLength(2);
    }
    expect(await sent()).toEqual([2, 1]);
    await lasting.store.client.hset(lasting.keys().meta, 'partial', '1');
    await lasting.rebuild();
    expect(await sent()).toEqual([1, 3]);
  });

  it('counts only connections that lasted, over a span, that end on the same entry', async () => {
    await strict.wholeWith('d1');
    await strict.enqueue([1]);
    const { sessions, meta } = strict.keys();
    const lasted = async (conn: string, seconds: number) => {
      const text = (await strict.store.client.hget(sessions, conn))!;
      const since = Date.now() - seconds * 1000;
      await strict.store.client.hset(sessions, conn, text.replace(/\d+$/, String(since)));
    };
    for (let i = 0; i < 5; i++) {
      expect(await strict.disconnect('c-d1')).toBeUndefined();
      await strict.live('d1');
    }
    expect(await strict.store.client.hget(meta, 'poison:d1')).toBeNull();
    for (let i = 0; i < 2; i++) {
      await lasted('c-d1', 61);
      expect(await strict.disconnect('c-d1')).toBeUndefined();
      await strict.live('d1');
    }
    await lasted('c-d1', 61);
    expect(await strict.disconnect('c-d1')).toBeUndefined();
    await strict.live('d1');
    const [seq, count] = (await strict.store.client.hget(meta, 'poison:d1'))!.split(',');
    expect([seq, count]).toEqual(['1', '3']);
    await strict.store.client.hset(meta, 'poison:d1', `1,3,${Date.now() - 121_000}`);
    await lasted('c-d1', 61);
    expect(await strict.disconnect('c-d1')).toMatchObject({ seq: 1 });
  });
});

describe('forget-device', () => {
  const forget = (device: string) =>
    rig.one((reply) => reply as string[], rig.inbox.forgetDeviceCall(rig.user, device));

  it('ends its sessions, and its cursor holds the list no more', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10, 20, 30]);
    await rig.ack('d1', gen, 2, 20);
    await rig.ack('d2', gen, 1, 10);
    expect(await forget('d2')).toEqual(['c-d2', '1']);
    expect(await sessionNames()).toEqual(['c-d1']);
    expect(await rig.listed()).toEqual([30]);
    expect(await rig.cursor('d2')).toBeUndefined();
    expect(await rig.inbox.ackedMarks(rig.user)).toEqual({ 'd1#dm:alice:bob': '20' });
    expect((await rig.dueCheck()).is).toBe('whole');
    expect(await forget('d2')).toEqual([]);
    expect(await rig.connect('d2')).toMatchObject({ is: 'ok', acked: 3 });
  });

  it('leaves what nobody has acked where it was the last one', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    await rig.ack('d1', gen, 1, 10);
    await forget('d1');
    expect(await rig.listed()).toEqual([20]);
    expect(await rig.connect('d2')).toMatchObject({ is: 'ok', acked: 0 });
  });
});

describe('assert-session', () => {
  it('keeps the session alive and knows what became of it', async () => {
    const gen = await rig.wholeWith('d1');
    const { sessions, meta } = rig.keys();
    await rig.store.client.pexpire(sessions, 3000);
    expect(await rig.assert('c-d1', gen)).toBe('ok');
    expect(await rig.store.client.pttl(sessions)).toBeGreaterThan(40_000);
    expect(await rig.assert('c-d1', gen + 1)).toBe('reset');
    expect(await rig.assert('c-d1', undefined)).toBe('ok');
    expect(await rig.assert('other', gen)).toBe('gone');
    await rig.store.client.hset(meta, 'store', 'another');
    expect(await rig.assert('c-d1', gen)).toBe('partial');
    await rig.store.client.del(meta);
    expect(await rig.assert('c-d1', gen)).toBe('partial');
  });

  it('changes neither place nor mode', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([1]);
    await rig.assert('c-d1', gen);
    expect((await rig.enqueue([2])).live).toMatchObject([{ fromSeq: 2, toSeq: 2 }]);
  });
});

describe('an active device', () => {
  const count = async () => {
    const state = await rig.dueCheck();
    return state.is === 'whole' ? state.activeDevices : 0;
  };

  it('is one seen within the retention or connected now', async () => {
    rig.newUser();
    expect(await count()).toBe(0);
    await rig.wholeWith('d1', 'd2', 'd3');
    await rig.disconnect('c-d1');
    for (const device of ['d1', 'd2']) await rig.unseen(device, 3700);
    expect(await count()).toBe(2);
  });

  it.each(['ack', 'nack', 'ack-ids', 'sync'])('takes one that is heard of by %s for seen', async (how) => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10]);
    await rig.disconnect('c-d1');
    await rig.unseen('d1', 3700);
    expect(await count()).toBe(0);
    if (how === 'ack') await rig.ack('d1', gen, 1, 10);
    else if (how === 'nack') await rig.nack('d1', gen, 1, 10, true);
    else if (how === 'sync') await rig.sync('d1');
    else await rig.ackIds('d1', []);
    expect(await count()).toBe(1);
  });
});
