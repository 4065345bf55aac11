import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { startRedis } from '@restante/localstack/redis-engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { renewSlot, takeSlot } from './slot-leases-redis.ts';
import { InboxRig, positions } from './test-inbox.ts';

/** A Redis of its own, whose maxmemory (noeviction) is below what it holds. */
const dir = mkdtempSync(join(tmpdir(), 'restante-full-'));
let redis: Engine;
let rig: InboxRig;
let gen = 0;

beforeAll(async () => {
  redis = await startRedis({ dataDir: dir });
  rig = new InboxRig({}, redis.url);
  await rig.ready();
});
afterAll(async () => {
  await rig?.close();
  await redis?.kill();
  rmSync(dir, { recursive: true, force: true });
});

beforeEach(async () => {
  gen = await rig.wholeWith('d1');
  await rig.enqueue(positions(1, 12));
  await rig.store.client.del('due:0', 'slot:0');
  await rig.store.client.zadd('due:0', 1, rig.user);
  await rig.store.client.config('SET', 'maxmemory', '1');
});
afterEach(() => rig.store.client.config('SET', 'maxmemory', '0'));

describe('at maxmemory', () => {
  it('nothing is put in, and the inbox stays as it was', async () => {
    await expect(rig.enqueue([13])).rejects.toThrow(/enqueue of inbox:.*OOM/);
    const { user } = rig;
    rig.newUser();
    await expect(rig.enqueue([1])).rejects.toThrow(/enqueue of inbox:.*OOM/);
    rig.user = user;
    expect(await rig.listed()).toEqual(positions(1, 12));
    expect((await rig.dueCheck()).is).toBe('whole');
    await rig.store.client.config('SET', 'maxmemory', '0');
    expect(await rig.enqueue([13])).toMatchObject({ before: 12, tail: 13 });
  });

  it('acks move cursors and free memory', async () => {
    expect(await rig.ack('d1', gen, 9, 9)).toMatchObject({ is: 'ok', acked: 9, page: { firstSeq: 11 } });
    expect(await rig.listed()).toEqual([10, 11, 12]);
    expect(await rig.nack('d1', gen, 10, 10, true)).toMatchObject({ acked: 10 });
    const ids = [{ from: 'bob', id: 'id-000011' }];
    expect(await rig.ackIds('d1', ids)).toMatchObject({ acked: 11 });
    expect(await rig.listed()).toEqual([12]);
  });

  it('devices connect, are sent what they are owed, and go: who can not connect can not ack', async () => {
    expect(await rig.disconnect('c-d1')).toBeUndefined();
    expect(await rig.connect('d1', 'c2')).toMatchObject({ is: 'ok', tail: 12 });
    expect(await rig.replay('c2')).toMatchObject({ page: { firstSeq: 1 } });
    expect(await rig.refill('c2', gen, 5)).toMatchObject({ is: 'page', page: { firstSeq: 5 } });
    expect(await rig.assert('c2', gen)).toBe('ok');
    expect(await rig.sync('d1')).toMatchObject({ is: 'page', reached: 12 });
    expect(await rig.connect('d2', 'new-device')).toMatchObject({ is: 'ok', acked: 12 });
  });

  it('the due queue goes on', async () => {
    const keys = ['due:0'];
    const [, user, score] = (await rig.store.runOne({ script: 'inbox:due-claim', keys, args: [10, 1000] })) as string[];
    expect(user).toBe(rig.user);
    expect(await rig.dueCheck()).toMatchObject({ is: 'whole', tail: 12 });
    expect(await rig.one(Number, rig.inbox.dueNoteCall(rig.user, gen, { probedCursor: 0, tries: 1 }))).toBe(1);
    await rig.store.runOne({ script: 'inbox:due-settle', keys, args: [user!, score!, 9e12] });
    expect(await rig.store.client.zscore('due:0', rig.user)).toBe('9000000000000');
    await rig.store.runOne({ script: 'inbox:due-add', keys, args: [rig.user, 5] });
    expect(await rig.store.client.zscore('due:0', rig.user)).toBe('5');
  });

  it('a gateway finds a slot and keeps it', async () => {
    expect(await takeSlot(rig.store, 1, 'lease', 60_000)).toBe(0);
    expect(await renewSlot(rig.store, 0, 'lease', 60_000)).toBe(true);
  });

  it('what is trimmed for age is counted', async () => {
    await rig.store.client.config('SET', 'maxmemory', '0');
    await rig.age(3, 3601);
    await rig.store.client.config('SET', 'maxmemory', '1');
    await rig.dueCheck();
    expect(await rig.meta()).toMatchObject({ base: '3', tail: '12', partial: '0' });
  });
});
