import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rebuildKey } from './scripts.ts';
import { InboxRig } from './test-inbox.ts';

/** What no version of this code ever wrote: keys of another type, fields of another form. Said clearly, or set aside; nothing is lost. */
const rig = new InboxRig();
let gen = 0;
beforeAll(() => rig.ready());
afterAll(() => rig.close());
beforeEach(async () => {
  gen = await rig.wholeWith('d1', 'd2');
  await rig.enqueue([10, 20, 30]);
});

const scripts: Record<string, () => Promise<unknown>> = {
  enqueue: () => rig.enqueue([40]),
  connect: () => rig.connect('d1'),
  replay: () => rig.replay('c-d1'),
  ack: () => rig.ack('d1', gen, 1, 10),
  nack: () => rig.nack('d1', gen, 1, 10, true),
  'ack-ids': () => rig.ackIds('d1', [{ from: 'bob', id: 'id-000010' }]),
  disconnect: () => rig.disconnect('c-d1'),
  refill: () => rig.refill('c-d1', gen, 1),
  sync: () => rig.sync('d1'),
  'assert-session': () => rig.assert('c-d1', gen),
  'due-check': () => rig.dueCheck(),
  'due-note': () => rig.one(Number, rig.inbox.dueNoteCall(rig.user, gen, { probedCursor: 0, tries: 0 })),
  'rebuild-begin': () => rig.rebuildBegin(),
};
const names = Object.keys(scripts);

describe('a meta of another type', () => {
  it.each(names)('is an error of %s that names the script and the key', async (name) => {
    const { meta, list } = rig.keys();
    const kept = await rig.meta();
    await rig.store.client.set(meta, 'text');
    await expect(scripts[name]!()).rejects.toThrow(new RegExp(`${name} of inbox:\\{.*wrong kind of value`));
    await rig.store.client.del(meta);
    await rig.store.client.hset(meta, kept);
    expect(await rig.listed()).toEqual([10, 20, 30]);
    expect(await rig.store.client.llen(list)).toBe(3);
  });
});

describe('a meta that can not be read', () => {
  it.each(['gen', 'base', 'tail', 'bytes'])('for want of its %s is none: made anew, and partial', async (field) => {
    const { meta } = rig.keys();
    if (field === 'gen') await rig.store.client.hdel(meta, field);
    else await rig.store.client.hset(meta, field, 'garbage');
    for (const script of ['ack', 'nack', 'ack-ids', 'replay', 'refill']) {
      expect(await scripts[script]!(), script).toEqual({ is: 'partial' });
    }
    expect(await rig.dueCheck()).toEqual({ is: 'none' });
    expect(await rig.assert('c-d1', gen)).toBe('partial');
    // What it had is in the history; what comes now is kept, whatever positions were given before.
    expect(await rig.enqueue([5])).toMatchObject({ partial: true, before: 0, tail: 1, added: [true] });
    expect(await rig.listed()).toEqual([5]);
    expect(await rig.rebuildBegin()).toMatchObject({ base: '0' });
  });

  it('for marks alone is served without them', async () => {
    await rig.store.client.hset(rig.keys().meta, 'over', 'x', 'aged', 'x', 'tries', 'x');
    expect(await rig.ack('d1', gen, 1, 10)).toMatchObject({ is: 'ok', acked: 1 });
  });
});

describe('a list of another type', () => {
  it('is an error of whatever reads it, and the rest is as it was', async () => {
    await rig.store.client.set(rig.keys().list, 'text');
    const meta = await rig.meta();
    for (const name of names.filter((name) => !['assert-session', 'disconnect'].includes(name))) {
      await expect(scripts[name]!()).rejects.toThrow(/wrong kind of value/);
    }
    expect(await rig.meta()).toEqual(meta);
  });
});

describe('devices that can not be read', () => {
  it.each(['garbage', 'd1,1,2,3', ';', 'd1,-1,0,0,;'])('make the inbox partial: %j', async (devices) => {
    await rig.store.client.hset(rig.keys().meta, 'devices', devices);
    expect((await rig.dueCheck()).is).toBe('partial');
    expect(await rig.ack('d1', gen, 3, 30)).toEqual({ is: 'partial' });
    expect(await rig.enqueue([40])).toMatchObject({ partial: true, tail: 4, live: [] });
    expect(await rig.listed()).toEqual([10, 20, 30, 40]);
  });

  it('make it partial also where the others can: nothing may be trimmed behind the back of one', async () => {
    const { devices } = await rig.meta();
    await rig.store.client.hset(rig.keys().meta, 'devices', devices!.replace(/(d2),/, '$1,x'));
    expect(await rig.ack('d1', gen, 3, 30)).toEqual({ is: 'partial' });
    expect(await rig.listed()).toEqual([10, 20, 30]);
  });
});

describe('sessions that can not be read', () => {
  it('are gone, and the others are served', async () => {
    const { sessions } = rig.keys();
    await rig.store.client.hset(sessions, 'c-d1', 'garbage', 'c-other', '');
    expect(await rig.assert('c-d1', gen)).toBe('gone');
    expect(await rig.replay('c-d1')).toEqual({ is: 'gone' });
    expect(await rig.refill('c-d1', gen, 1)).toEqual({ is: 'gone' });
    expect(await rig.ack('d1', gen, 1, 10)).toEqual({ is: 'ok', acked: 1, tail: 3, page: undefined });
    const { live, sessionCount } = await rig.enqueue([40]);
    expect({ sessionCount, to: live.map(({ conn }) => conn) }).toEqual({ sessionCount: 1, to: ['c-d2'] });
    expect(Object.keys(await rig.store.client.hgetall(sessions))).toEqual(['c-d2']);
    expect(await rig.connect('d1')).toMatchObject({ is: 'ok', acked: 1 });
  });

  it('are ended by a disconnect like others', async () => {
    await rig.store.client.hset(rig.keys().sessions, 'c-d1', 'garbage');
    expect(await rig.disconnect('c-d1')).toBeUndefined();
    expect(await rig.store.client.hexists(rig.keys().sessions, 'c-d1')).toBe(0);
  });

  it('of another type are an error, and what was put in before stays put in once', async () => {
    const { sessions } = rig.keys();
    await rig.store.client.del(sessions);
    await rig.store.client.set(sessions, 'text');
    await expect(rig.enqueue([40])).rejects.toThrow(/enqueue of inbox:.*wrong kind of value/);
    await rig.store.client.del(sessions);
    expect(await rig.enqueue([40])).toMatchObject({ tail: 4, added: [false] });
    expect(await rig.listed()).toEqual([10, 20, 30, 40]);
  });
});

describe('marks and tokens of another type', () => {
  it('refuse an ack before anything has moved', async () => {
    await rig.store.client.set(rig.keys().acked, 'text');
    await expect(rig.ack('d1', gen, 2, 20)).rejects.toThrow(/ack of inbox:.*wrong kind of value/);
    expect(await rig.cursor('d1')).toBe(0);
    await rig.store.client.del(rig.keys().acked);
    expect(await rig.ack('d1', gen, 2, 20)).toMatchObject({ is: 'ok', acked: 2 });
  });

  it('keep a rebuild from beginning', async () => {
    await rig.store.client.hset(rig.keys().meta, 'store', 'another');
    await rig.store.client.rpush(rebuildKey(rig.user), 'list');
    await expect(rig.rebuildBegin()).rejects.toThrow(/rebuild-begin of inbox:.*wrong kind of value/);
    await rig.store.client.del(rebuildKey(rig.user));
    expect(await rig.rebuildBegin()).toMatchObject({ gen: String(gen) });
  });
});
