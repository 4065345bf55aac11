import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { queryAll } from '@restante/shared/inbox/conversations-dynamo';
import { createDynamo, writeAll } from '@restante/shared/runtime/dynamo';
import { ensureTables } from '@restante/shared/runtime/tables';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startDynamo } from './dynamo-engine.ts';
import type { Engine } from './engine.ts';
import { startKafka } from './kafka-engine.ts';
import { prepareStores } from './prepare-stores.ts';
import { startRedis, startRedisCluster } from './redis-engine.ts';

let dir: string;
const running: Engine[] = [];

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'restante-engines-'));
});

afterAll(async () => {
  await Promise.all(running.map((engine) => engine.kill()));
  rmSync(dir, { recursive: true, force: true });
});

const portOf = (engine: Engine) => Number(engine.url.split(':').at(-1));

it('Redis that is killed comes back on its port with what it had', async () => {
  const options = { dataDir: join(dir, 'redis') };
  const first = await startRedis(options);
  running.push(first);
  const client = new Redis(first.url);
  await client.set('kept', 'yes');
  client.disconnect();
  await first.stop();
  const second = await startRedis({ ...options, port: portOf(first) });
  running.push(second);
  expect(second.url).toBe(first.url);
  const again = new Redis(second.url);
  expect(await again.get('kept')).toBe('yes');
  expect(await again.config('GET', 'list-compress-depth')).toEqual(['list-compress-depth', '1']);
  again.disconnect();
});

it('Kafka and DynamoDB that are killed come back on their ports with their topics and tables', async () => {
  const start = async (ports?: [number, number]) => {
    const port = (index: 0 | 1) => (ports ? { port: ports[index] } : {});
    const kafka = startKafka({ dataDir: join(dir, 'kafka'), ...port(0) });
    const dynamo = startDynamo({ dataDir: join(dir, 'dynamodb'), ...port(1) });
    const engines = await Promise.all([kafka, dynamo]);
    running.push(...engines);
    return engines;
  };
  const first = await start();
  const env = { KAFKA_BROKERS: first[0].url, DYNAMODB_ENDPOINT: first[1].url };
  await prepareStores(env);
  await Promise.all(first.map((engine) => engine.kill()));
  const second = await start([portOf(first[0]), portOf(first[1])]);
  expect(second.map((engine) => engine.url)).toEqual(first.map((engine) => engine.url));
  // A topic with another number of partitions is only found out where the old topic is still there.
  await prepareStores(env);
  await expect(prepareStores({ ...env, INCOMING_PARTITIONS: '7' })).rejects.toThrow(
    'incoming_messages has 4 partitions',
  );
});

it('DynamoDB moves what was written from its log to its file while it runs', async () => {
  const dataDir = join(dir, 'checkpointed');
  const dynamo = await startDynamo({ dataDir });
  running.push(dynamo);
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' });
  const client = createDynamo({ endpoint: dynamo.url, region: 'us-east-1' });
  await ensureTables(client);
  const items = Array.from({ length: 500 }, (_, i) => ({
    conversation: { S: 'dm:alice:bob' },
    position: { N: `${i}` },
    entry: { S: 'x'.repeat(2000) },
  }));
  await writeAll(client, 'messages', items);
  const size = () => statSync(join(dataDir, 'shared-local-instance.db')).size;
  await vi.waitFor(() => expect(size()).toBeGreaterThan(500 * 2000), { timeout: 30_000, interval: 100 });
  client.destroy();
});

it('DynamoDB that is killed has all that it had answered, though nobody shares its file', async () => {
  const dataDir = join(dir, 'exclusive');
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' });
  const first = await startDynamo({ dataDir });
  running.push(first);
  const client = createDynamo({ endpoint: first.url, region: 'us-east-1' });
  await ensureTables(client);
  const items = Array.from({ length: 100 }, (_, i) => ({
    conversation: { S: 'dm:alice:bob' },
    position: { N: `${i}` },
  }));
  await writeAll(client, 'messages', items);
  const file = join(dataDir, 'shared-local-instance.db');
  expect([existsSync(`${file}-wal`), existsSync(`${file}-shm`)], 'a log of its own').toEqual([true, false]);
  await first.kill();
  const second = await startDynamo({ dataDir, port: portOf(first) });
  running.push(second);
  const item = { conversation: { S: 'dm:alice:bob' }, position: { N: `${items.length}` } };
  await writeAll(client, 'messages', [item]);
  const kept = await queryAll(client, {
    TableName: 'messages',
    KeyConditionExpression: 'conversation = :c',
    ExpressionAttributeValues: { ':c': item.conversation },
  });
  expect(kept).toEqual([...items, item]);
  client.destroy();
});

it('a Redis Cluster of three serves keys of every slot', async () => {
  const cluster = await startRedisCluster({ dataDir: join(dir, 'cluster') });
  running.push(...cluster.nodes);
  const { hostname: host, port } = new URL(cluster.url);
  const client = new Cluster([{ host, port: Number(port) }]);
  const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`);
  await Promise.all(keys.map((key) => client.set(key, key)));
  expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys);
  const sizes = await Promise.all(client.nodes('master').map((node) => node.dbsize()));
  expect(sizes).toHaveLength(3);
  expect(Math.min(...sizes)).toBeGreaterThan(0);
  client.disconnect();
  await cluster.stop();
});
