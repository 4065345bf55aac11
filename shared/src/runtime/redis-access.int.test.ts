import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { claimDue, DUE_SHARDS, dueAddCalls, settleDue } from '../inbox/due-queue-redis.ts';
import { Inbox } from '../inbox/inbox-redis.ts';
import { POISON_RULE } from '../inbox/scripts.ts';
import { RedisStore } from './redis.ts';
import { REDIS_ACCESS } from './redis-access.ts';

const url = process.env.REDIS_URL!;
const admin = new Redis(url);
const username = `service-${Math.random().toString(36).slice(2)}`;
const password = 'a-password';
const store = new RedisStore({ url, cluster: false, username, password, logger: pino({ level: 'silent' }) });

beforeAll(async () => {
  // Redis 6.2 knows `cluster` as one command only.
  const rules = REDIS_ACCESS.replace('+cluster|shards ', '').split(' ');
  await admin.acl('SETUSER', username, ...rules, `>${password}`);
  await store.ready();
});
afterAll(async () => {
  await store.close();
  await admin.acl('DELUSER', username);
  admin.disconnect();
});

it('is enough for the scripts: they are loaded, run, and know their store', async () => {
  const inbox = new Inbox(store, {
    retentionSeconds: 60,
    maxEntries: 10,
    maxBytes: 65_536,
    windowEntries: 10,
    deviceRetentionSeconds: 60,
    maxDevices: 2,
    poison: POISON_RULE,
  });
  expect(inbox.store).toBe(store);
  const user = `user-${username}`;
  await store.run(dueAddCalls([{ user, atMs: 1 }]));
  const { claims } = await claimDue(store, 1000, 60_000);
  const mine = claims.filter((claim) => claim.user === user);
  expect(mine).toHaveLength(1);
  await settleDue(store, [{ ...mine[0]!, nextAtMs: undefined }]);
  const left = await Promise.all(Array.from({ length: DUE_SHARDS }, (_, shard) => admin.zscore(`due:${shard}`, user)));
  expect(left.every((score) => score === null)).toBe(true);
});

it.each([['FLUSHALL'], ['CONFIG', 'GET', '*'], ['KEYS', '*'], ['ACL', 'LIST'], ['DEBUG', 'SLEEP', '0'], ['SHUTDOWN']])(
  'allows no %s',
  async (command, ...args) => {
    const client = new Redis(url, { username, password, lazyConnect: true });
    await client.connect();
    await expect(client.call(command, ...args)).rejects.toThrow(/NOPERM/);
    client.disconnect();
  },
);

it('lets nobody in with another password', async () => {
  const client = new Redis(url, { username, password: 'another', lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => {});
  await expect(client.connect().then(() => client.ping())).rejects.toThrow(/WRONGPASS|closed/);
  client.disconnect();
});
