import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { type RedisCluster, startRedis, startRedisCluster } from '@restante/localstack/redis-engine';
import { REDIS_ACCESS } from '@restante/shared/runtime/redis-access';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Check } from './check.ts';
import { checkEngines } from './check-engines.ts';

const dir = mkdtempSync(join(tmpdir(), 'restante-doctor-'));
const ADMIN = 'password-of-the-administrator';
const USER = { REDIS_USERNAME: 'service', REDIS_PASSWORD: 'password-of-the-service' };
let guarded: Engine;
let cluster: RedisCluster;
const at = { kafka: undefined, dynamodb: undefined };

/** The doctor's word on Redis, without the engines that were not named. */
async function redisChecks(url: string, env: Record<string, string>, asCluster = false): Promise<Check[]> {
  const checks = await checkEngines({ ...at, redis: { url, cluster: asCluster } }, env, undefined);
  return checks.filter(({ name }) => name !== 'Kafka' && name !== 'DynamoDB');
}
const count = (checks: readonly Check[], name: string) => checks.filter((check) => check.name === name).length;

async function letIn(url: string, password?: string): Promise<void> {
  const admin = new Redis(url, password === undefined ? {} : { password });
  // Redis 6.2 knows `cluster` as one command only.
  const rules = REDIS_ACCESS.replace('+cluster|shards ', '').split(' ');
  await admin.acl('SETUSER', USER.REDIS_USERNAME, ...rules, `>${USER.REDIS_PASSWORD}`);
  admin.disconnect();
}

beforeAll(async () => {
  guarded = await startRedis({ dataDir: join(dir, 'one'), config: { requirepass: ADMIN, maxmemory: '64mb' } });
  cluster = await startRedisCluster({ dataDir: join(dir, 'three') });
  await letIn(guarded.url, ADMIN);
  for (const { url } of cluster.nodes) await letIn(url);
});
afterAll(async () => {
  await guarded?.kill();
  await cluster?.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('a Redis with users is asked as the services are known there; what they may not ask is no failure', async () => {
  const checks = await redisChecks(guarded.url, USER);
  expect(checks.filter(({ state }) => state !== 'ok')).toEqual([]);
  expect(checks.map(({ name }) => name)).toEqual([
    ...['Redis', 'Clock', 'Redis eviction', 'Redis maxmemory', 'Redis list compression'],
  ]);
  expect(checks[2]!.found).toContain('not told');
});

test('an administrator in the URL learns more, and the password is not shown', async () => {
  const checks = await redisChecks(guarded.url.replace('//', `//default:${ADMIN}@`), {});
  expect(checks.find(({ name }) => name === 'Redis eviction')).toMatchObject({ state: 'ok', found: 'noeviction' });
  expect(checks.find(({ name }) => name === 'Redis maxmemory')).toMatchObject({ found: '64 MiB' });
  expect(JSON.stringify(checks)).not.toContain(ADMIN);
});

test.each([
  ['without a password', {}, 'NOAUTH'],
  ['with another password', { ...USER, REDIS_PASSWORD: 'another' }, 'WRONGPASS'],
])('%s it is said who must be set', async (_, env, said) => {
  const checks = await redisChecks(guarded.url, env);
  expect(checks).toMatchObject([
    { state: 'fail', found: expect.stringContaining(said), remedy: expect.stringContaining('REDIS_PASSWORD') },
  ]);
});

test('each node of a cluster is asked, as the user that the services are', async () => {
  for (const env of [USER, {}]) {
    const checks = await redisChecks(cluster.url, { ...env, REDIS_CLUSTER: 'true' });
    expect(checks.filter(({ state }) => state === 'fail')).toEqual([]);
    expect(checks[0]).toMatchObject({ name: 'Redis Cluster', found: expect.stringContaining('3 nodes') });
    expect(['Redis', 'Clock', 'Redis eviction'].map((name) => count(checks, name))).toEqual([3, 3, 3]);
  }
  expect(count(await redisChecks(cluster.url, {}, true), 'Redis')).toBe(3);
});

test('a cluster that is taken for one Redis, and the other way round, is told with the setting', async () => {
  expect(await redisChecks(cluster.url, {})).toContainEqual(
    expect.objectContaining({ state: 'fail', remedy: 'set REDIS_CLUSTER=true' }),
  );
  expect(await redisChecks(guarded.url, { ...USER, REDIS_CLUSTER: 'true' })).toMatchObject([
    { state: 'fail', remedy: expect.stringContaining('REDIS_CLUSTER=false') },
  ]);
});

/** The first byte of a TLS handshake. */
const TLS_HANDSHAKE = 0x16;
test.each([
  ['none', false],
  ['msk-iam', true],
])('Kafka is spoken to as KAFKA_AUTH=%s says', async (KAFKA_AUTH, overTls) => {
  const listener = createServer((socket) =>
    socket.once('data', (data) => {
      listener.emit('spoken', data[0] === TLS_HANDSHAKE);
      socket.destroy();
    }),
  ).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const spoken = once(listener, 'spoken');
  const kafka = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const checks = await checkEngines({ ...at, kafka, redis: undefined }, { KAFKA_AUTH }, undefined);
  expect(await spoken).toEqual([overTls]);
  expect(checks[0]).toMatchObject({ name: 'Kafka', state: 'fail', remedy: expect.stringContaining('KAFKA_AUTH') });
  listener.close();
});
