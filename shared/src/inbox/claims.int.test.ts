import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { placesOf, turnAt, turnKeys } from './claim-keys.ts';
import { type Claim, claimedBy, claimIds, contentHash, unclaimIds } from './dedupe-redis.ts';
import { readTrace } from './read-trace.ts';
import { InboxRig } from './test-inbox.ts';

const SECONDS = 600;
/** More than a hash of a turn takes before it is split. */
const MANY = 700;

const rig = new InboxRig();
const { store } = rig;
const { client } = store;
beforeAll(() => rig.ready());
afterAll(() => rig.close());
// Whose turn it is goes by our clock, how long a hash is kept by Redis'.
beforeEach(() => vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => vi.useRealTimers());

let bob = '';
beforeEach(() => {
  bob = `s-${randomUUID()}`;
});

const claim = (position: number, more: Partial<Claim> = {}): Claim => ({
  sender: bob,
  id: 'message-1',
  conversation: 'dm:alice:bob',
  position,
  hash: contentHash('hello'),
  ...more,
});
const claimed = ({ conversation, position, hash }: Claim) => ({ conversation, position, hash });
const many = () => Array.from({ length: MANY }, (_, i) => claim(i + 1, { id: `message-${i + 1}` }));
const periodMs = () => turnAt(SECONDS, 0).keptMs - SECONDS * 1000;
const inPeriod = (period: number) => vi.setSystemTime((period + 0.5) * periodMs());

describe('claims of (sender, id)', () => {
  it('are held by the first, also within one batch; a replay finds its own', async () => {
    const first = claim(2 ** 50 + 1);
    const second = claim(2 ** 50 + 2, { hash: contentHash('other') });
    expect(await claimIds(store, [first, second], SECONDS)).toEqual([claimed(first), claimed(first)]);
    expect(await claimIds(store, [second, first], SECONDS)).toEqual([claimed(first), claimed(first)]);
    expect(await claimedBy(store, bob, 'message-1')).toEqual(claimed(first));
  });

  it('are one for two owners at once', async () => {
    const owners = [1, 2, 3, 4].map((position) => claimIds(store, [claim(position)], SECONDS));
    const held = (await Promise.all(owners)).flat();
    expect(new Set(held.map(({ position }) => position)).size).toBe(1);
  });

  it('tell senders and ids apart, each with its answer in the order of the claims', async () => {
    const carol = `s-${randomUUID()}`;
    const claims = [claim(1), claim(2, { sender: carol }), claim(3, { id: 'message-2' }), claim(4, { sender: carol })];
    const [first, second, third] = claims.map(claimed);
    expect(await claimIds(store, claims, SECONDS)).toEqual([first, second, third, second]);
    expect(await claimedBy(store, bob, 'message-3')).toBeUndefined();
  });

  it('name the conversation, whether direct, of somebody else or a group', async () => {
    const direct = bob < 'zoe' ? `dm:${bob}:zoe` : `dm:zoe:${bob}`;
    const conversations = [direct, `dm:${bob}:${bob}`, 'dm:alice:carol', 'grp:team', `dm:a:${'z'.repeat(128)}`];
    const claims = conversations.map((conversation, i) => claim(i + 1, { id: `message-${i}`, conversation }));
    await claimIds(store, claims, SECONDS);
    const held = await Promise.all(claims.map(({ id }) => claimedBy(store, bob, id)));
    expect(held).toEqual(claims.map(claimed));
  });

  it('are taken back only by who holds them', async () => {
    await claimIds(store, [claim(1)], SECONDS);
    await unclaimIds(store, [claim(2)]);
    expect(await claimedBy(store, bob, 'message-1')).toMatchObject({ position: 1 });
    await unclaimIds(store, [claim(1)]);
    expect(await claimedBy(store, bob, 'message-1')).toBeUndefined();
  });

  it('name the sender, the id and the field that holds something else', async () => {
    const { field } = placesOf(bob, 'message-1');
    await client.hset(turnKeys(bob)[1]!, field, 'garbage');
    await expect(claimIds(store, [claim(1)], SECONDS)).rejects.toThrow(`${bob}'s message-1 is "garbage"`);
    await expect(claimedBy(store, bob, 'message-1')).rejects.toThrow(`HDEL ${field} of each d:{${bob}}:*`);
  });

  it('are found without knowing who sent them', async () => {
    const carol = `s-${randomUUID()}`;
    const id = `message-${randomUUID()}`;
    const alone = many().at(-1)!;
    await claimIds(store, [...many(), claim(9000, { id, sender: carol }), claim(9001, { id })], SECONDS);
    const stores = { redis: store } as Parameters<typeof readTrace>[2];
    const both = [bob, carol].sort().join(', ');
    await expect(readTrace(id, undefined, stores)).rejects.toThrow(`${both} have sent a message ${id}`);
    // Known only in a leaf: one of another sender makes two.
    await claimIds(store, [{ ...alone, sender: carol }], SECONDS);
    await expect(readTrace(alone.id, undefined, stores)).rejects.toThrow(new RegExp(`${bob}.* have sent a message`));
  });
});

describe('the hashes of a sender', () => {
  it('take turns, and an id is found in whichever it is', async () => {
    const claims = [0, 1].map((period) => claim(period + 1, { id: `message-${period}` }));
    for (const [period, one] of claims.entries()) {
      inPeriod(period);
      expect(await claimIds(store, [one], SECONDS)).toEqual([claimed(one)]);
    }
    expect(await Promise.all(turnKeys(bob).map((key) => client.hlen(key)))).toEqual([1, 1]);
    for (const period of [-2, 1, 2, 40]) {
      inPeriod(period + 100);
      const again = claims.map((one) => ({ ...one, position: one.position + 10 }));
      expect(await claimIds(store, again, SECONDS)).toEqual(claims.map(claimed));
    }
    expect(await Promise.all(claims.map(({ id }) => claimedBy(store, bob, id)))).toEqual(claims.map(claimed));
  });

  it.each([0, 0.5, 1])('last as long as the last claim of their period must, begun %d into it', async (part) => {
    vi.setSystemTime(Math.round(part * (periodMs() - 1)));
    const claims = many();
    await claimIds(store, claims, SECONDS);
    const { leaves } = placesOf(bob, claims.at(-1)!.id);
    const whole = SECONDS * 1000 + (1 - part) * periodMs();
    for (const key of [turnKeys(bob)[0]!, leaves[0]!]) {
      const ms = await client.pttl(key);
      // Less by what the test took.
      expect(ms).toBeGreaterThan(whole - 60_000);
      expect(ms).toBeLessThanOrEqual(whole + 1);
      // And it is gone before its next turn.
      expect(ms).toBeLessThan((2 - part) * periodMs());
    }
  });

  it.each([
    ['a hash that was not split', 10],
    ['a leaf', MANY],
  ])(
    'take no claim that would end before its time, though they were begun for less, and keep what they had: %s',
    async (_, count) => {
      inPeriod(0);
      const before = many().slice(0, count);
      await claimIds(store, before, SECONDS);
      const after = claim(5000, { id: 'message-after' });
      const [leaf] = placesOf(bob, after.id).leaves;
      const [root] = turnKeys(bob);
      for (const key of [root!, leaf!]) await client.pexpire(key, 30_000);
      await claimIds(store, [after], SECONDS);
      expect(await client.exists(leaf!)).toBe(count === MANY ? 1 : 0);
      const holding = count === MANY ? [root!, leaf!] : [root!];
      for (const key of holding) expect(await client.ttl(key)).toBeGreaterThanOrEqual(SECONDS);
      expect(await claimIds(store, [{ ...after, position: 6000 }], SECONDS)).toEqual([claimed(after)]);
      expect(await claimIds(store, before, SECONDS)).toEqual(before.map(claimed));
    },
  );

  it('stay small: one that has many is split into leaves, where they are held and taken back as anywhere', async () => {
    const claims = many();
    for (const one of claims) expect(await claimIds(store, [one], SECONDS)).toEqual([claimed(one)]);
    expect((await Promise.all(turnKeys(bob).map((key) => client.type(key)))).sort()).toEqual(['none', 'string']);
    const leaves = await client.keys(`d:{${bob}}:?:*`);
    const encodings = await Promise.all(leaves.map((leaf) => client.object('ENCODING', leaf)));
    for (const encoding of encodings) expect(encoding).toMatch(/ziplist|listpack/);
    const lengths = await Promise.all(leaves.map((leaf) => client.hlen(leaf)));
    expect(lengths.reduce((sum, length) => sum + length)).toBe(MANY);
    const later = claims.map((one) => ({ ...one, position: one.position + MANY, hash: contentHash('other') }));
    expect(await claimIds(store, later, SECONDS)).toEqual(claims.map(claimed));
    // The first of two positions of a conversation holds, also in a leaf.
    const last = claims.at(-1)!;
    const earlier = { ...last, position: 0 };
    expect(await claimIds(store, [earlier], SECONDS)).toEqual([claimed(earlier)]);
    await unclaimIds(store, [earlier, claims[0]!]);
    expect(await claimedBy(store, bob, last.id)).toBeUndefined();
    expect(await claimedBy(store, bob, claims[0]!.id)).toBeUndefined();
    const back = [last, claims[0]!].map((one) => ({ ...one, position: 9999 }));
    expect(await claimIds(store, back, SECONDS)).toEqual(back.map(claimed));
  });
});

const id = fc.nat({ max: 5 }).map((n) => `message-${n}`);
const position = fc.nat({ max: 9 });
const conversation = fc.constantFrom('dm:alice:bob', 'grp:team');
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ is: fc.constant('claim' as const), id, position, conversation }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('unclaim' as const), id, position, conversation }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('clock' as const), period: fc.nat({ max: 6 }) }) },
);

it('whatever comes in whichever order, they are what a map from ids to first results is', async () => {
  const run = async (steps: (typeof step extends fc.Arbitrary<infer T> ? T : never)[], crowded: boolean) => {
    const sender = `s-${randomUUID()}`;
    const others = many().map((one) => ({ ...one, sender, id: `other-${one.id}` }));
    inPeriod(0);
    if (crowded) await claimIds(store, others, SECONDS);
    const model = new Map<string, Claim>();
    for (const one of steps) {
      if (one.is === 'clock') {
        inPeriod(one.period);
        continue;
      }
      const { id, position, conversation } = one;
      const ours = claim(position, { sender, id, conversation, hash: contentHash(conversation) });
      const held = model.get(id);
      if (one.is === 'unclaim') {
        await unclaimIds(store, [ours]);
        if (held && held.position === position && held.conversation === conversation) model.delete(id);
      } else {
        if (!held || (held.conversation === conversation && held.position > position)) model.set(id, ours);
        expect(await claimIds(store, [ours], SECONDS)).toEqual([claimed(model.get(id)!)]);
      }
      const now = model.get(id);
      expect(await claimedBy(store, sender, id)).toEqual(now && claimed(now));
    }
    if (crowded) expect(await claimIds(store, others, SECONDS)).toEqual(others.map(claimed));
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), run), { numRuns: 60 });
});
