import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { startRedis } from '@restante/localstack/redis-engine';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Claim, claimedBy, claimIds, contentHash, dedupeKey, unclaimIds } from './dedupe-redis.ts';
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

describe('claims of (sender, id)', () => {
  const claim = (sender: string, position: number, more: Partial<Claim> = {}): Claim => ({
    sender,
    id: 'message-1',
    conversation: 'dm:alice:bob',
    position,
    hash: contentHash('hello'),
    ...more,
  });
  const sender = () => `s-${randomUUID()}`;
  const claimed = ({ conversation, position, hash }: Claim) => ({ conversation, position, hash });

  it('are held by the first, also within one batch; a replay finds its own', async () => {
    const bob = sender();
    const first = claim(bob, 2 ** 50 + 1);
    const second = claim(bob, 2 ** 50 + 2, { hash: contentHash('other') });
    expect(await claimIds(store, [first, second], 60)).toEqual([claimed(first), claimed(first)]);
    expect(await claimIds(store, [second, first], 60)).toEqual([claimed(first), claimed(first)]);
    expect(await claimedBy(store, bob, 'message-1')).toEqual(claimed(first));
  });

  it('are one for two owners at once', async () => {
    const bob = sender();
    const owners = [1, 2, 3, 4].map((position) => claimIds(store, [claim(bob, position)], 60));
    const held = (await Promise.all(owners)).flat();
    expect(new Set(held.map(({ position }) => position)).size).toBe(1);
  });

  it('tell senders and ids apart, and last as long as they were told', async () => {
    const [bob, carol] = [sender(), sender()];
    const claims = [claim(bob, 1), claim(carol, 2), claim(bob, 3, { id: 'message-2' })];
    expect(await claimIds(store, claims, 60)).toEqual(claims.map(claimed));
    const ttl = await store.client.ttl(dedupeKey(bob, 'message-1'));
    expect(ttl).toBeGreaterThan(50);
    expect(ttl).toBeLessThanOrEqual(60);
    expect(await claimedBy(store, bob, 'message-3')).toBeUndefined();
  });

  it('name the conversation, whether direct, of somebody else or a group', async () => {
    const bob = sender();
    const direct = bob < 'zoe' ? `dm:${bob}:zoe` : `dm:zoe:${bob}`;
    const conversations = [direct, `dm:${bob}:${bob}`, 'dm:alice:carol', 'grp:team'];
    const claims = conversations.map((conversation, i) => claim(bob, i + 1, { id: `message-${i}`, conversation }));
    await claimIds(store, claims, 60);
    const held = await Promise.all(claims.map(({ id }) => claimedBy(store, bob, id)));
    expect(held).toEqual(claims.map(claimed));
  });

  it('are taken back only by who holds them', async () => {
    const bob = sender();
    await claimIds(store, [claim(bob, 1)], 60);
    await unclaimIds(store, [claim(bob, 2)]);
    expect(await claimedBy(store, bob, 'message-1')).toMatchObject({ position: 1 });
    await unclaimIds(store, [claim(bob, 1)]);
    expect(await claimedBy(store, bob, 'message-1')).toBeUndefined();
  });

  it('name the key that holds something else', async () => {
    const bob = sender();
    await store.client.set(dedupeKey(bob, 'message-1'), 'garbage');
    await expect(claimIds(store, [claim(bob, 1)], 60)).rejects.toThrow(
      `${dedupeKey(bob, 'message-1')} holds "garbage"`,
    );
  });
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
