import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { createKafka } from '@restante/shared/kafka/client';
import type { ServiceName } from '@restante/shared/runtime/permissions';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { type Check, fail, ok, warn } from './check.ts';
import { checkRights } from './check-rights.ts';
import { checkTopics } from './check-topics.ts';

const ANSWER_MS = 5_000;
const CLOCK_MAX_MS = 1_000;

type Env = Record<string, string | undefined>;
export type EngineUrls = { kafka: string | undefined; redis: string | undefined; dynamodb: string | undefined };

/**
 * Asks each engine itself, with the clients that the services use.
 * @param role whose rights are tried. With one, DynamoDB needs no address: it is AWS's
 */
export async function checkEngines(urls: EngineUrls, env: Env, role: ServiceName | undefined): Promise<Check[]> {
  const none = (name: string, otherwise = '') => [
    warn(name, 'no address known', `run \`npm start\`, or set its address in the environment${otherwise}`),
  ];
  const noDynamo = () => (role === undefined ? none('DynamoDB', '; in AWS, where it has none, say --role') : []);
  const parts = await Promise.all([
    urls.kafka === undefined ? none('Kafka') : checkKafka(urls.kafka, env),
    urls.redis === undefined ? none('Redis') : checkRedis(urls.redis),
    urls.dynamodb === undefined ? noDynamo() : checkDynamo(urls.dynamodb),
    role === undefined ? [] : checkRights(role, urls.dynamodb, env),
  ]);
  return parts.flat();
}

async function checkKafka(brokers: string, env: Env): Promise<Check[]> {
  const kafka = createKafka({
    brokers: brokers.replace(/^\w+:\/\//, '').split(','),
    clientId: 'restante-doctor',
    logger: pino({ level: 'silent' }),
  });
  try {
    return [ok('Kafka', `answers at ${brokers}`), ...(await within(checkTopics(kafka, env)))];
  } catch (error) {
    return [
      fail(
        'Kafka',
        `${brokers}: ${(error as Error).message}`,
        'is it running? .restante/logs has its last words; npm start starts it',
      ),
    ];
  }
}

async function checkRedis(url: string): Promise<Check[]> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: ANSWER_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  redis.on('error', () => {});
  try {
    await within(redis.connect());
    const before = Date.now();
    const [seconds, micros] = await within(redis.time());
    const after = Date.now();
    const skewMs = Math.max(
      0,
      Math.abs(Number(seconds) * 1000 + Number(micros) / 1000 - (before + after) / 2) - (after - before) / 2,
    );
    const info = await within(redis.info('server'));
    const config = async (name: string) => ((await within(redis.config('GET', name))) as string[])[1];
    return [
      ok('Redis', `${/redis_version:(\S+)/.exec(info)?.[1] ?? '?'} at ${url}`),
      judgeClock(skewMs),
      judgeEviction(await config('maxmemory-policy')),
      judgeMaxMemory(await config('maxmemory')),
      judgeCompression(await config('list-compress-depth')),
    ];
  } catch (error) {
    return [fail('Redis', `${url}: ${(error as Error).message}`, 'is it running? npm start starts it')];
  } finally {
    redis.disconnect();
  }
}

/** Scripts use Redis's clock, tokens and frames ours: they should agree. */
export function judgeClock(skewMs: number): Check {
  const found = `${Math.round(skewMs)} ms apart from Redis's`;
  return skewMs <= CLOCK_MAX_MS
    ? ok('Clock', found)
    : warn('Clock', found, 'set both by NTP: tokens expire, and messages are dated, by these clocks');
}

export function judgeEviction(policy: string | undefined): Check {
  if (policy === undefined) return ok('Redis eviction', 'not told (managed service): see that it is noeviction');
  if (policy === 'noeviction') return ok('Redis eviction', policy);
  return fail(
    'Redis eviction',
    policy,
    'CONFIG SET maxmemory-policy noeviction: an evicted inbox must be rebuilt from the history',
  );
}

export function judgeMaxMemory(bytes: string | undefined): Check {
  const name = 'Redis maxmemory';
  if (bytes === undefined) return ok(name, 'not told (managed service)');
  if (bytes !== '0') return ok(name, `${Math.round(Number(bytes) / 2 ** 20)} MiB`);
  return warn(
    name,
    'none',
    'CONFIG SET maxmemory: without a bound the system ends Redis when memory is out, with all it holds',
  );
}

export function judgeCompression(depth: string | undefined): Check {
  if (depth === undefined || Number(depth) > 0)
    return ok('Redis list compression', depth === undefined ? 'not told' : `list-compress-depth ${depth}`);
  return warn(
    'Redis list compression',
    'list-compress-depth 0',
    'CONFIG SET list-compress-depth 1: queued natural text takes a third of the memory',
  );
}

const TABLES = ['messages', 'tombstones', 'conversations', 'memberships', 'cursors', 'receipts', 'devices', 'logs'];

async function checkDynamo(endpoint: string): Promise<Check[]> {
  const client = new DynamoDBClient({
    endpoint,
    region: process.env.AWS_REGION ?? 'us-east-1',
    maxAttempts: 1,
    // DynamoDB Local takes any; against AWS the default chain is used, for there is no endpoint to give.
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  try {
    const { TableNames = [] } = await within(client.send(new ListTablesCommand({ Limit: 100 })));
    return [ok('DynamoDB', `answers at ${endpoint}`), judgeTables(TableNames)];
  } catch (error) {
    return [fail('DynamoDB', `${endpoint}: ${(error as Error).message}`, 'is it running? npm start starts it')];
  } finally {
    client.destroy();
  }
}

/** @param names of every table that there is; a prefix before ours is allowed */
export function judgeTables(names: readonly string[]): Check {
  const missing = TABLES.filter(
    (table) => !names.some((name) => name === table || name.endsWith(`-${table}`) || name.endsWith(`_${table}`)),
  );
  if (missing.length > 0) return fail('Tables', `missing: ${missing.join(', ')}`, 'npm start makes them');
  return ok('Tables', TABLES.join(', '));
}

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
