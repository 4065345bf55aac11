import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DUE_SHARDS, dueAddCalls, dueShard } from './due-queue-redis.ts';
import { InboxRig } from './test-inbox.ts';

const rig = new InboxRig();
beforeAll(() => rig.ready());
afterAll(() => rig.close());

const { store } = rig;
/** A queue of its own for each test: the scripts know it only by its key. */
let key = '';
beforeEach(() => {
  key = `due:${randomUUID()}`;
});
const run = (script: string, ...args: (string | number)[]) =>
  store.runOne({ script: `inbox:${script}`, keys: [key], args });
const add = (user: string, atMs: number) => run('due-add', user, atMs);
const claim = async (limit = 10, claimMs = 30_000) => {
  const [whole, ...pairs] = (await run('due-claim', limit, claimMs)) as string[];
  const claims = Array.from({ length: pairs.length / 2 }, (_, i) => ({
    user: pairs[2 * i]!,
    score: pairs[2 * i + 1]!,
  }));
  return { whole: whole === '1', claims };
};
const settle = (claimed: { user: string; score: string }, nextAtMs: number) =>
  run('due-settle', claimed.user, claimed.score, nextAtMs);
const scoreOf = async (user: string) => Number(await store.client.zscore(key, user));

describe('adding', () => {
  it('keeps the earlier of two times', async () => {
    await add('a', 5000);
    await add('a', 3000);
    expect(await scoreOf('a')).toBe(3000);
    await add('a', 9000);
    expect(await scoreOf('a')).toBeCloseTo(3000, 1);
    expect(await scoreOf('a')).toBeLessThan(3000);
  });

  it('always changes the score, whatever the time', async () => {
    const at = Date.now();
    const scores = new Set<string | null>();
    for (const atMs of [at, at, at, at + 1000, at - 1, at - 1, at - 1.001]) {
      await add('a', atMs);
      scores.add(await store.client.zscore(key, 'a'));
    }
    expect(scores.size).toBe(7);
  });

  it('puts each user in the shard that every process finds', () => {
    const users = Array.from({ length: 500 }, (_, i) => `user-${i}`);
    const calls = dueAddCalls(users.map((user) => ({ user, atMs: 1 })));
    expect(calls.map(({ keys }) => keys[0]).sort()).toEqual(
      Array.from({ length: DUE_SHARDS }, (_, shard) => `due:${shard}`),
    );
    for (const { keys, args } of calls) {
      for (let i = 0; i < args.length; i += 2) expect(`due:${dueShard(String(args[i]))}`).toBe(keys[0]);
    }
    expect(calls.flatMap(({ args }) => args.filter((_, i) => i % 2 === 0)).sort()).toEqual(users.sort());
  });
});

describe('claiming', () => {
  it('takes who is due, oldest first, up to the limit, and nobody twice', async () => {
    const now = Date.now();
    await run('due-add', 'late', now + 60_000, 'second', now - 50, 'first', now - 100, 'third', now - 10);
    expect((await claim(2)).claims.map(({ user }) => user)).toEqual(['first', 'second']);
    expect((await claim()).claims.map(({ user }) => user)).toEqual(['third']);
    expect((await claim()).claims).toEqual([]);
  });

  it('gives back by itself what its worker did not settle', async () => {
    await add('a', 1);
    const [first] = (await claim(10, 0)).claims;
    const [second] = (await claim(10, 30_000)).claims;
    expect(second!.user).toBe('a');
    expect(second!.score).not.toBe(first!.score);
    await settle(first!, 0);
    expect(await store.client.zscore(key, 'a')).toBe(second!.score);
  });

  it('says whether this store has the whole of the shard', async () => {
    expect((await claim()).whole).toBe(false);
    await run('due-whole');
    await add('a', 1);
    const { whole, claims } = await claim();
    expect({ whole, users: claims.map(({ user }) => user) }).toEqual({ whole: true, users: ['a'] });
    await store.client.zadd(key, '+inf', '!another-store');
    await run('due-whole');
    expect(await store.client.zcount(key, '+inf', '+inf')).toBe(1);
    await store.client.del(key);
    expect((await claim()).whole).toBe(false);
  });
});

describe('settling', () => {
  it('ends a claim: never again, or at another time', async () => {
    await run('due-add', 'a', 1, 'b', 1);
    const [a, b] = (await claim()).claims;
    await settle(a!, 0);
    await settle(b!, 9_000_000_000_000);
    expect(await store.client.zrange(key, '0', '-1')).toEqual(['b']);
    expect(await scoreOf('b')).toBe(9_000_000_000_000);
  });

  it('leaves what was added since the claim as it is', async () => {
    await add('a', 1);
    const [claimed] = (await claim()).claims;
    const at = Date.now() + 5000;
    await add('a', at);
    for (const next of [0, at + 60_000]) await settle(claimed!, next);
    expect(await scoreOf('a')).toBe(at);
    // A time later than the claim itself changes the score too.
    const other = (await claim()).claims;
    expect(other).toEqual([]);
  });

  it('leaves what was added for later than the claim would last', async () => {
    await add('a', 1);
    const [claimed] = (await claim(10, 1000)).claims;
    await add('a', Date.now() + 3_600_000);
    await settle(claimed!, 0);
    expect(await store.client.zscore(key, 'a')).not.toBeNull();
  });
});

describe('due-check', () => {
  it('says what a wake-up is decided on', async () => {
    rig.newUser();
    expect(await rig.dueCheck()).toEqual({ is: 'none' });
    await rig.enqueue([1]);
    expect(await rig.dueCheck()).toEqual({ is: 'partial' });
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10, 20, 30]);
    await rig.ack('d1', gen, 2, 20);
    await rig.ack('d2', gen, 1, 10);
    const state = await rig.dueCheck();
    if (state.is !== 'whole') throw new Error(state.is);
    state.sessions.sort((a, b) => a.conn.localeCompare(b.conn));
    expect(state).toEqual({
      is: 'whole',
      gen,
      tail: 3,
      furthest: 2,
      lowest: 1,
      activeDevices: 2,
      tries: 0,
      probe: undefined,
      push: { pushedTail: 0, nextAtMs: 0, urgent: true },
      sessions: [
        { conn: 'c-d1', slot: 1, lease: 'lease', device: 'd1', cursor: 2 },
        { conn: 'c-d2', slot: 1, lease: 'lease', device: 'd2', cursor: 1 },
      ],
    });
  });

  it('does not count devices that are long unseen', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10, 20]);
    await rig.ack('d1', gen, 2, 20);
    await rig.disconnect('c-d1');
    await rig.unseen('d1', 3700);
    expect(await rig.dueCheck()).toMatchObject({ furthest: 0, lowest: 0, activeDevices: 1 });
  });

  it('trims an aged head, and keeps the count', async () => {
    await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    await rig.age(1, 3601);
    await rig.dueCheck();
    expect(await rig.meta()).toMatchObject({ base: '1', aged: '1' });
    expect(await rig.listed()).toEqual([20]);
    expect((await rig.dueCheck()).is).toBe('whole');
  });
});

describe('due-note', () => {
  const note = (gen: number, probedCursor: number | undefined, tries: number, nextPushMs?: number) =>
    rig.one(Number, rig.inbox.dueNoteCall(rig.user, gen, { probedCursor, tries, nextPushMs }));

  it('is found by the next check, until something is acked', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    expect(await note(gen, 0, 3)).toBe(1);
    const noted = await rig.dueCheck();
    expect(noted).toMatchObject({ tries: 3, probe: { cursor: 0 } });
    expect(noted.is === 'whole' && noted.probe!.atMs).toBeGreaterThan(Date.now() - 60_000);
    await rig.ack('d1', gen, 1, 10);
    expect(await rig.dueCheck()).toMatchObject({ tries: 0, probe: { cursor: 0 } });
    await note(gen, undefined, 4);
    expect(await rig.dueCheck()).toMatchObject({ tries: 4, probe: undefined });
    await rig.enqueue([30]);
    expect(await rig.dueCheck()).toMatchObject({ tries: 4 });
  });

  it('keeps when the next push may go out, and whether something urgent came since', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    expect(await rig.dueCheck()).toMatchObject({ push: { pushedTail: 0, nextAtMs: 0, urgent: true } });
    await note(gen, undefined, 1, 60_000);
    const pushed = await rig.dueCheck();
    expect(pushed).toMatchObject({ tries: 1, push: { pushedTail: 2, urgent: false } });
    expect(pushed.is === 'whole' && pushed.push.nextAtMs).toBeGreaterThan(Date.now());
    await rig.enqueue([30]);
    expect(await rig.dueCheck()).toMatchObject({ tries: 1, push: { pushedTail: 2, urgent: true } });
    await rig.ack('d1', gen, 1, 10);
    expect(await rig.dueCheck()).toMatchObject({ tries: 0, push: { nextAtMs: 0 } });
  });

  it('is dropped where the inbox is another by now', async () => {
    const gen = await rig.wholeWith('d1');
    expect(await note(gen + 1, 0, 3)).toBe(0);
    expect(await rig.dueCheck()).toMatchObject({ tries: 0, probe: undefined });
    rig.newUser();
    expect(await note(gen, 0, 3)).toBe(0);
    expect(await rig.dueCheck()).toEqual({ is: 'none' });
  });
});
