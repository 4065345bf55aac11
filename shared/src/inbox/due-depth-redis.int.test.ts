import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RedisStore } from '../runtime/redis.ts';
import { dueDepth } from './due-depth-redis.ts';
import { dueShard } from './due-queue-redis.ts';

const store = new RedisStore({ url: process.env.REDIS_URL!, cluster: false, logger: pino({ level: 'silent' }) });
const user = `late-${Math.random().toString(36).slice(2)}`;
const later = `later-${Math.random().toString(36).slice(2)}`;
/** Far before any other test's users, so that what is oldest is known. */
const DUE_AT_MS = 1_000;

beforeAll(() => store.ready());
afterAll(async () => {
  await store.client.zrem(`due:${dueShard(user)}`, user);
  await store.client.zrem(`due:${dueShard(later)}`, later, '!mark');
  await store.close();
});

it('counts who is due, and how long the first has waited; who is due later counts not', async () => {
  await store.client.zadd(`due:${dueShard(user)}`, DUE_AT_MS, user);
  await store.client.zadd(`due:${dueShard(later)}`, DUE_AT_MS + 600_000, later, 'inf', '!mark');
  expect(await dueDepth(store, DUE_AT_MS + 90_000)).toEqual({ users: 1, oldestSeconds: 90 });
  expect(await dueDepth(store, DUE_AT_MS - 1)).toEqual({ users: 0, oldestSeconds: 0 });
});
