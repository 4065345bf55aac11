import { once } from 'node:events';
import { REDIS_SETTINGS } from '@restante/shared/inbox/inbox-settings';
import { RedisStore } from '@restante/shared/runtime/redis';
import { readSettings, SettingsError, withoutPassword } from '@restante/shared/runtime/settings';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { type Check, fail, ok, warn } from './check.ts';
import { within } from './within.ts';

const CLOCK_MAX_MS = 1_000;
const NOT_TOLD = 'not told (a managed service, or not to this user)';

/** @param cluster whether it was started as one, where REDIS_CLUSTER does not say */
export type RedisAddress = { url: string; cluster: boolean };

/** Asks Redis, each node of a cluster, as the user that the services are. */
export async function checkRedis(
  { url, cluster }: RedisAddress,
  env: Record<string, string | undefined>,
): Promise<Check[]> {
  let store: RedisStore | undefined;
  try {
    const settings = readSettings(REDIS_SETTINGS, { REDIS_CLUSTER: String(cluster), ...env, REDIS_URL: url });
    store = new RedisStore({
      ...{ url, cluster: settings.REDIS_CLUSTER },
      ...{ username: settings.REDIS_USERNAME, password: settings.REDIS_PASSWORD },
      logger: pino({ level: 'silent' }),
    });
    const { client } = store;
    await within(once(client, 'ready'));
    if (client instanceof Redis) return [...(await checkNode(client, url)), ...judgeMode(await within(client.info()))];
    const nodes = client.nodes('master');
    const checks = nodes.map((node) => checkNode(node, `${node.options.host}:${node.options.port}`));
    return [
      ok('Redis Cluster', `${nodes.length} nodes, by ${withoutPassword(url)}`),
      ...(await Promise.all(checks)).flat(),
    ];
  } catch (error) {
    const { message, lastNodeError } = error as Error & { lastNodeError?: Error };
    const said = lastNodeError === undefined ? message : `${message} ${lastNodeError.message}`;
    return [fail('Redis', `${withoutPassword(url)}: ${said}`, remedyOf(error, said))];
  } finally {
    await store?.close();
  }
}

function remedyOf(error: unknown, said: string): string {
  if (error instanceof SettingsError) return 'docs/configuration.md has all settings';
  if (/WRONGPASS|NOAUTH|NOPERM/.test(said))
    return 'set REDIS_USERNAME and REDIS_PASSWORD to a user that may do what the services do: REDIS_ACCESS in shared/src/runtime/redis-access.ts';
  if (/cluster support disabled/.test(said)) return 'it is no Redis Cluster: set REDIS_CLUSTER=false';
  return 'is it running? npm start starts it; where it speaks TLS, REDIS_URL begins with rediss://';
}

async function checkNode(node: Redis, where: string): Promise<Check[]> {
  const before = Date.now();
  const [seconds, micros] = await within(node.time());
  const after = Date.now();
  const apartMs = Math.abs(Number(seconds) * 1000 + Number(micros) / 1000 - (before + after) / 2);
  const info = await within(node.info('server'));
  const [policy, maxMemory, depth] = await Promise.all(
    ['maxmemory-policy', 'maxmemory', 'list-compress-depth'].map((name) => configOf(node, name)),
  );
  return [
    ok('Redis', `${/redis_version:(\S+)/.exec(info)?.[1] ?? '?'} at ${withoutPassword(where)}`),
    judgeClock(Math.max(0, apartMs - (after - before) / 2)),
    judgeEviction(policy),
    judgeMaxMemory(maxMemory),
    judgeCompression(depth),
  ];
}

/** @returns undefined where this user, or nobody, may ask */
async function configOf(node: Redis, name: string): Promise<string | undefined> {
  try {
    return ((await within(node.config('GET', name))) as string[])[1];
  } catch (error) {
    if (/NOPERM|unknown command/i.test((error as Error).message)) return undefined;
    throw error;
  }
}

/** A node of a cluster sends away who asks for a key that is another's. */
function judgeMode(info: string): Check[] {
  if (!/redis_mode:cluster/.test(info)) return [];
  return [fail('Redis Cluster', 'REDIS_URL names a node of one, REDIS_CLUSTER is false', 'set REDIS_CLUSTER=true')];
}

/** Scripts use Redis's clock, tokens and frames ours: they should agree. */
export function judgeClock(skewMs: number): Check {
  const found = `${Math.round(skewMs)} ms apart from Redis's`;
  return skewMs <= CLOCK_MAX_MS
    ? ok('Clock', found)
    : warn('Clock', found, 'set both by NTP: tokens expire, and messages are dated, by these clocks');
}

export function judgeEviction(policy: string | undefined): Check {
  if (policy === undefined) return ok('Redis eviction', `${NOT_TOLD}: see that it is noeviction`);
  if (policy === 'noeviction') return ok('Redis eviction', policy);
  return fail(
    'Redis eviction',
    policy,
    'CONFIG SET maxmemory-policy noeviction: an evicted inbox must be rebuilt from the history',
  );
}

export function judgeMaxMemory(bytes: string | undefined): Check {
  const name = 'Redis maxmemory';
  if (bytes === undefined) return ok(name, NOT_TOLD);
  if (bytes !== '0') return ok(name, `${Math.round(Number(bytes) / 2 ** 20)} MiB`);
  return warn(
    name,
    'none',
    'CONFIG SET maxmemory: without a bound the system ends Redis when memory is out, with all it holds',
  );
}

export function judgeCompression(depth: string | undefined): Check {
  if (depth === undefined || Number(depth) > 0)
    return ok('Redis list compression', depth === undefined ? NOT_TOLD : `list-compress-depth ${depth}`);
  return warn(
    'Redis list compression',
    'list-compress-depth 0',
    'CONFIG SET list-compress-depth 1: queued natural text takes a third of the memory',
  );
}
