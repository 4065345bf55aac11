import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Claim, claimedBy, claimIds, contentHash, unclaimIds } from './dedupe-redis.ts';
import { freeSlot, renewSlot, SlotLeases, takeSlot } from './slot-leases-redis.ts';
import { InboxRig } from './test-inbox.ts';

const rig = new InboxRig();
const { store } = rig;
const FIRST_SLOT = 100;
beforeAll(() => rig.ready());
afterAll(() => rig.close());

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
    const ttl = await store.client.ttl(`dedupe:{${bob}}:message-1`);
    expect(ttl).toBeGreaterThan(50);
    expect(ttl).toBeLessThanOrEqual(60);
    expect(await claimedBy(store, bob, 'message-3')).toBeUndefined();
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
    await store.client.set(`dedupe:{${bob}}:message-1`, 'garbage');
    await expect(claimIds(store, [claim(bob, 1)], 60)).rejects.toThrow(`dedupe:{${bob}}:message-1 holds "garbage"`);
  });
});

describe('slots', () => {
  const slotAt = (index: number) => FIRST_SLOT + index;
  const free = () => store.client.del(...[0, 1, 2].map((index) => `slot:${slotAt(index)}`));
  const take = (index: number, lease: string, ms = 60_000) =>
    store.runOne({ script: 'inbox:slot-renew', keys: [`slot:${slotAt(index)}`], args: [lease, ms, 'take'] });

  it('belong to one lease at a time', async () => {
    await free();
    const taken = await Promise.all(['a', 'b', 'c'].map((lease) => take(0, lease)));
    expect(taken.sort()).toEqual([0, 0, 1]);
  });

  it('are renewed and given back by their lease alone', async () => {
    await free();
    await take(0, 'mine', 5000);
    const slot = slotAt(0);
    expect(await renewSlot(store, slot, 'theirs', 60_000)).toBe(false);
    expect(await store.client.pttl(`slot:${slot}`)).toBeLessThanOrEqual(5000);
    expect(await renewSlot(store, slot, 'mine', 60_000)).toBe(true);
    expect(await store.client.pttl(`slot:${slot}`)).toBeGreaterThan(50_000);
    expect(await freeSlot(store, slot, 'theirs')).toBe(false);
    expect(await freeSlot(store, slot, 'mine')).toBe(true);
    expect(await renewSlot(store, slot, 'mine', 60_000)).toBe(false);
  });

  it('are taken in order, none where all are leased', async () => {
    const others = await store.client.keys('slot:*');
    expect(others.filter((key) => Number(key.slice(5)) < FIRST_SLOT)).toEqual([]);
    const leases = ['a', 'b', 'c'];
    const taken = [];
    for (const lease of leases) taken.push(await takeSlot(store, 2, lease, 60_000));
    for (const [slot, lease] of leases.entries()) await freeSlot(store, slot, lease);
    expect(taken).toEqual([0, 1, undefined]);
  });

  it('are known to be dead where their lease is another or none, and taken for alive where nothing is known', async () => {
    await free();
    const leases = new SlotLeases(store, slotAt(2), pino({ level: 'silent' }));
    expect(leases.isAlive(slotAt(0), 'mine')).toBe(true);
    await take(0, 'mine');
    await leases.refresh();
    expect(leases.isAlive(slotAt(0), 'mine')).toBe(true);
    expect(leases.isAlive(slotAt(0), 'older')).toBe(false);
    expect(leases.isAlive(slotAt(1), 'mine')).toBe(false);
  });
});
