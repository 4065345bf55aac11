import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { startRedis, startRedisCluster } from '@restante/localstack/redis-engine';
import calculateSlot from 'cluster-key-slot';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { UnavailableError } from './errors.ts';
import { RedisStore } from './redis.ts';

const logger = pino({ level: 'silent' });
const SOON = { timeout: 30_000, interval: 50 };
const dir = mkdtempSync(join(tmpdir(), 'restante-redis-'));
const closing: (() => Promise<void>)[] = [];
const engines: Engine[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(async () => {
  await Promise.all(engines.map((engine) => engine.kill()));
  rmSync(dir, { recursive: true, force: true });
});

/** `append` keeps the order of its calls; `fail` is an error of a script; `store` tells which identity it was given. */
async function open(url: string, cluster: boolean): Promise<RedisStore> {
  const store = new RedisStore({ url, cluster, logger });
  closing.push(() => store.close());
  store.define('append', "redis.call('RPUSH', KEYS[1], ARGV[2]) return redis.call('LLEN', KEYS[1])");
  store.define('fail', "redis.call('INCR', KEYS[1]) error('by itself')");
  store.define('store', 'return ARGV[1]');
  await store.ready();
  return store;
}

const append = (key: string, value: number) => ({ script: 'append', keys: [key], args: [value] });
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

describe('one Redis', () => {
  let redis: Engine;
  const options = { dataDir: join(dir, 'one') };
  beforeAll(async () => {
    redis = await startRedis(options);
    engines.push(redis);
  });
  const restart = async () => {
    redis = await startRedis({ ...options, port: Number(new URL(redis.url).port) });
    engines.push(redis);
  };

  it('runs calls in their order and gives each its reply', async () => {
    const store = await open(redis.url, false);
    expect(await store.run(numbers(100).map((n) => append('order', n)))).toEqual(numbers(100).map((n) => n + 1));
    expect(await store.client.lrange('order', 0, -1)).toEqual(numbers(100).map(String));
    expect(await store.run([])).toEqual([]);
  });

  it('says which script of which key failed, and ran the others', async () => {
    const store = await open(redis.url, false);
    await store.client.set('text', 'not a list');
    const calls = [append('before', 1), append('text', 1), append('after', 1)];
    const failed = store.run(calls);
    await expect(failed).rejects.toThrow(UnavailableError);
    await expect(failed).rejects.toThrow(/append of text: .*wrong kind of value/);
    expect(await store.client.llen('after')).toBe(1);
    await expect(store.runOne({ script: 'fail', keys: ['count'], args: [] })).rejects.toThrow(
      /fail of count: .*by itself/,
    );
  });

  it('runs its scripts also where Redis has forgotten them', async () => {
    const store = await open(redis.url, false);
    await store.run([append('forgotten', 1)]);
    await store.client.script('FLUSH');
    expect(await store.run([append('forgotten', 2), append('forgotten', 3)])).toEqual([2, 3]);
  });

  it('fails at once while Redis is away, and comes back with the identity of what it then finds', async () => {
    const store = await open(redis.url, false);
    const before = await store.runOne({ script: 'store', keys: ['k'], args: [] });
    await redis.kill();
    await vi.waitFor(() => expect(store.isReady()).toBe(false), SOON);
    await expect(store.run([append('away', 1)])).rejects.toThrow(UnavailableError);
    await restart();
    const after = await vi.waitFor(() => store.runOne({ script: 'store', keys: ['k'], args: [] }), SOON);
    expect(after).toMatch(/^\w{12}\.\w{12}$/);
    expect(after).not.toBe(before);
    expect(await store.client.exists('away')).toBe(0);
  });

  it('sends nothing again that was on its way when the connection was lost', async () => {
    const store = await open(redis.url, false);
    const other = await open(redis.url, false);
    await other.client.call('CLIENT', 'PAUSE', '300');
    const lost = store.runOne(append('once', 1));
    const rejected = expect(lost).rejects.toThrow(UnavailableError);
    store.client.disconnect(true);
    await rejected;
    await vi.waitFor(() => store.runOne({ script: 'store', keys: ['k'], args: [] }), SOON);
    expect(await store.client.llen('once')).toBeLessThanOrEqual(1);
  });

  it('says so where it can not be reached', async () => {
    const store = new RedisStore({ url: 'redis://127.0.0.1:1', cluster: false, logger });
    closing.push(() => store.close());
    await expect(store.ready(100)).rejects.toThrow('Redis is not reachable within 100 ms');
  });
});

describe('a cluster', () => {
  let cluster: Awaited<ReturnType<typeof startRedisCluster>>;
  beforeAll(async () => {
    cluster = await startRedisCluster({ dataDir: join(dir, 'cluster') });
    engines.push(...cluster.nodes);
  });
  const users = numbers(60).map((n) => `list:{user${n}}`);
  /** Which third of the slots, hence which node, a key is on. */
  const third = (key: string) => Math.floor(calculateSlot(key) / (16_384 / 3));

  it('runs the calls of each node in their order, and gives each its reply', async () => {
    const store = await open(cluster.url, true);
    expect(new Set(users.map(third)).size).toBe(3);
    const replies = await store.run(numbers(5).flatMap((n) => users.map((user) => append(user, n))));
    expect(replies).toEqual(numbers(5).flatMap((n) => users.map(() => n + 1)));
    for (const user of users) expect(await store.client.lrange(user, 0, -1)).toEqual(['0', '1', '2', '3', '4']);
  });

  it('gives each call the identity of the node that it runs on', async () => {
    const store = await open(cluster.url, true);
    const identities = await store.run(users.map((user) => ({ script: 'store', keys: [user], args: [] })));
    const byThird = new Map(users.map((user, i) => [third(user), identities[i]]));
    expect(new Set(byThird.values()).size).toBe(3);
    users.forEach((user, i) => {
      expect(identities[i]).toBe(byThird.get(third(user)));
    });
  });

  it('has a key tag for every node', async () => {
    const store = await open(cluster.url, true);
    const tags = store.nodeTags();
    expect(tags.map((tag) => third(`{${tag}}`)).sort()).toEqual([0, 1, 2]);
  });

  it('knows scripts that were defined after the first call', async () => {
    const store = await open(cluster.url, true);
    await store.run(users.map((user) => ({ script: 'store', keys: [user], args: [] })));
    store.define('later', 'return 7');
    expect(await store.run(users.map((user) => ({ script: 'later', keys: [user], args: [] })))).toEqual(
      users.map(() => 7),
    );
  });

  it('fails for what a node has that is away, and recovers once it is back', async () => {
    const store = await open(cluster.url, true);
    const before = await store.runOne({ script: 'store', keys: [users[0]!], args: [] });
    const away = third(users[0]!);
    const port = Number(new URL(cluster.nodes[away]!.url).port);
    await cluster.nodes[away]!.kill();
    const call = (user: string) => ({ script: 'store', keys: [user], args: [] });
    await vi.waitFor(() => expect(store.run([call(users[0]!)])).rejects.toThrow(UnavailableError), SOON);
    await expect(store.run(users.map(call))).rejects.toThrow(UnavailableError);
    const config = { 'cluster-enabled': 'yes', 'cluster-node-timeout': '2000' };
    engines.push(await startRedis({ dataDir: join(dir, 'cluster', `node-${away + 1}`), port, config }));
    const after = await vi.waitFor(() => store.run(users.map(call)), SOON);
    expect(after[0]).not.toBe(before);
    expect(await store.run(users.map((user) => append(`${user}:again`, 1)))).toEqual(users.map(() => 1));
  });
});
