import { dueShard } from '@restante/shared/inbox/due-queue-redis';
import { inboxKeys } from '@restante/shared/inbox/scripts';
import { Cluster } from 'ioredis';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import { metricOf } from './support/metrics.ts';
import { redisOf } from './support/redis-of.ts';
import { type Stack, startStack } from './support/stack.ts';

const STRANDED = 'restante_notification_stranded_messages_total';
const USERS_A_ROUND = 2;
const WITHIN = { timeout: 60_000, interval: 100 };
let stack: Stack;
let redis: ReturnType<typeof redisOf>;
beforeAll(async () => {
  stack = await startStack({
    gateways: 1,
    env: { RECONCILE_EACH_SECONDS: '1', RECONCILE_USERS: String(USERS_A_ROUND) },
  });
  redis = redisOf(stack);
});
afterAll(async () => {
  redis?.disconnect();
  await stack?.stop();
});

const open = async (user: string) =>
  TestClient.drained({ url: stack.gatewayUrls[0]!, user, device: 'phone', token: await stack.token(user) });

async function sendTo(user: string, bodies: string[]): Promise<void> {
  const alice = await open('alice');
  for (const [i, body] of bodies.entries())
    alice.send({ t: 'send', id: `to-${user}-${i}-${body.length}`, to: user, body });
  await alice.until('all to be stored', () => alice.all('stored').length === bodies.length);
  await alice.close();
}

const stranded = () => metricOf(stack.run.services[1]!.adminUrl, STRANDED);
const reconciled = () => metricOf(stack.run.services[1]!.adminUrl, 'restante_notification_reconciled_users_total');

test('messages that a hand took out of an inbox, so that nothing else can tell, are found and delivered', async () => {
  await (await open('dave')).close();
  await sendTo('dave', ['one', 'two', 'three']);
  const [list, meta] = inboxKeys('dave') as [string, string];
  await vi.waitFor(async () => expect(await redis.llen(list)).toBe(3), WITHIN);
  const before = await stranded();

  // As if they had never come: the list and what is said of it agree, and nobody is to look at dave again.
  const base = (await redis.hget(meta, 'base'))!;
  await redis.multi().del(list).hset(meta, 'tail', base, 'bytes', '0').exec();
  await redis.zrem(`due:${dueShard('dave')}`, 'dave');

  await vi.waitFor(async () => expect(await stranded()).toBe(before + 3), WITHIN);
  await vi.waitFor(async () => expect(await redis.llen(list)).toBe(3), WITHIN);
  const dave = await open('dave');
  expect(dave.messages.map(({ body }) => body)).toEqual(['one', 'two', 'three']);
  await dave.close();
});

test('a user whom nobody would wake is put back into the due queue; others are left alone', async () => {
  await (await open('erin')).close();
  await sendTo('erin', ['wake up']);
  const due = `due:${dueShard('erin')}`;
  await vi.waitFor(async () => expect(await redis.zscore(due, 'erin')).not.toBeNull(), WITHIN);
  const before = await stranded();
  await redis.zrem(due, 'erin');
  await vi.waitFor(async () => expect(await stranded()).toBe(before + 1), WITHIN);
  expect(await redis.zscore(due, 'erin')).not.toBeNull();
  const now = await reconciled();
  // Everybody more than once: the finding is mended, and is found no more.
  await vi.waitFor(async () => expect(await reconciled()).toBeGreaterThan(now + 6), WITHIN);
  expect(await stranded()).toBe(before + 1);
});

test('a round looks at so many users and no more, and the next goes on there, to the last of them', async () => {
  for (const user of ['frank', 'gina', 'henry']) await (await open(user)).close();
  // Each round asks once where it begins.
  let rounds = 0;
  const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
  const monitors = await Promise.all(nodes.map((node) => node.monitor()));
  for (const monitor of monitors)
    monitor.on('monitor', (_: string, [command, key]: string[]) => {
      if (command === 'get' && key === 'reconcile:from') rounds++;
    });
  // Whoever is the last of them is among those who are stranded.
  const all = ['alice', 'dave', 'erin', 'frank', 'gina', 'henry'];
  for (const user of all.slice(1)) await sendTo(user, ['not to be forgotten']);
  for (const user of all.slice(1)) {
    const due = `due:${dueShard(user)}`;
    await vi.waitFor(async () => expect(await redis.zscore(due, user)).not.toBeNull(), WITHIN);
  }
  const looked = await reconciled();
  rounds = 0;
  for (const user of all.slice(1)) await redis.zrem(`due:${dueShard(user)}`, user);
  for (const user of all.slice(1))
    await vi.waitFor(async () => expect(await redis.zscore(`due:${dueShard(user)}`, user)).not.toBeNull(), WITHIN);
  // What one round that had begun before has counted since comes on top.
  const more = (await reconciled()) - looked;
  expect(more).toBeLessThanOrEqual((rounds + 1) * USERS_A_ROUND);
  for (const monitor of monitors) monitor.disconnect();
});
