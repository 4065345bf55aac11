import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { startRedis } from '@restante/localstack/redis-engine';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freeSlot, renewSlot, SlotLeases, takeSlot } from './slot-leases-redis.ts';
import { InboxRig } from './test-inbox.ts';

/** A Redis of its own: slots are numbered from 0 for everybody. */
const dir = mkdtempSync(join(tmpdir(), 'restante-leases-'));
let redis: Engine;
let rig: InboxRig;
let store: InboxRig['store'];
beforeAll(async () => {
  redis = await startRedis({ dataDir: dir });
  rig = new InboxRig({}, redis.url);
  store = rig.store;
  await rig.ready();
});
afterAll(async () => {
  await rig?.close();
  await redis?.kill();
  rmSync(dir, { recursive: true, force: true });
});

describe('slots', () => {
  beforeEach(() => store.client.del('slot:0', 'slot:1'));
  const take = (lease: string, ms = 60_000) =>
    store.runOne({ script: 'inbox:slot-renew', keys: ['slot:0'], args: [lease, ms, 'take'] });

  it('belong to one lease at a time', async () => {
    const taken = await Promise.all(['a', 'b', 'c'].map((lease) => take(lease)));
    expect(taken.sort()).toEqual([0, 0, 1]);
  });

  it('are renewed and given back by their lease alone', async () => {
    await take('mine', 5000);
    expect(await renewSlot(store, 0, 'theirs', 60_000)).toBe(false);
    expect(await store.client.pttl('slot:0')).toBeLessThanOrEqual(5000);
    expect(await renewSlot(store, 0, 'mine', 60_000)).toBe(true);
    expect(await store.client.pttl('slot:0')).toBeGreaterThan(50_000);
    expect(await freeSlot(store, 0, 'theirs')).toBe(false);
    expect(await freeSlot(store, 0, 'mine')).toBe(true);
    expect(await renewSlot(store, 0, 'mine', 60_000)).toBe(false);
  });

  it('are taken in order, none where all are leased', async () => {
    for (const [lease, slot] of [
      ['a', 0],
      ['b', 1],
      ['c', undefined],
    ] as const) {
      expect(await takeSlot(store, 2, lease, 60_000)).toBe(slot);
    }
  });

  it('are known to be dead where their lease is another or none, and taken for alive where nothing is known', async () => {
    const leases = new SlotLeases(store, 2, pino({ level: 'silent' }));
    expect(leases.isAlive(0, 'mine')).toBe(true);
    await take('mine');
    await leases.refresh();
    expect(leases.isAlive(0, 'mine')).toBe(true);
    expect(leases.isAlive(0, 'older')).toBe(false);
    expect(leases.isAlive(1, 'mine')).toBe(false);
  });
});
