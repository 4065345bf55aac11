import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import { metricOf } from './support/metrics.ts';
import { redisOf } from './support/redis-of.ts';
import { RoamingClient } from './support/roaming-client.ts';
import { type Stack, startStack } from './support/stack.ts';

/** A client that does not read, and a gateway that was paused for longer than its lease: neither costs anybody a message. */
const WINDOW_BYTES = 256 * 1024;
const BODY = 'x'.repeat(8_000);
const MESSAGES = 400;
const SOON = { timeout: 90_000, interval: 20 };
let stack: Stack;

beforeAll(async () => {
  const env = {
    LEASE_MS: '1000',
    GATEWAY_SLOTS: '2',
    WINDOW_BYTES: String(WINDOW_BYTES),
    ...{ RATE_SEND_PER_SECOND: '100000', RATE_SEND_BURST: '100000' },
  };
  stack = await startStack({ env });
});
afterAll(() => stack?.stop());

const account = async (user: string, gateway = 0) => ({
  url: stack.gatewayUrls[gateway]!,
  user,
  device: 'phone',
  token: await stack.token(user),
});

test('a client that does not read holds up itself alone, no more than a window of it waits in the gateway, and it gets all when it reads', async () => {
  const alice = await TestClient.drained(await account('alice'));
  const slow = await TestClient.drained(await account('slow', 1));
  const quick = await TestClient.drained(await account('quick', 1));
  slow.socket.pause();
  for (let i = 0; i < MESSAGES; i++)
    for (const to of ['slow', 'quick']) alice.send({ t: 'send', id: `to-${to}-${i}-00`, to, body: BODY });
  await quick.until('all of it', () => quick.messages.length === MESSAGES);
  await alice.until('stored of all', () => alice.all('stored').length === 2 * MESSAGES);
  const gateway = stack.run.gateways[1]!;
  // It was full, and drains from then on: what does not fit the window stays in the inbox.
  expect(await metricOf(gateway.adminUrl, 'restante_gateway_window_stalls_total')).toBeGreaterThan(0);
  const written = await metricOf(gateway.adminUrl, 'restante_gateway_entries_written_total');
  expect((written - MESSAGES) * BODY.length).toBeLessThanOrEqual(WINDOW_BYTES + BODY.length);
  slow.socket.resume();
  await slow.until('all of it', () => slow.messages.length === MESSAGES);
  expect(slow.messages.map(({ id }) => id)).toEqual(Array.from({ length: MESSAGES }, (_, i) => `to-slow-${i}-00`));
  await Promise.all([alice.close(), slow.close(), quick.close()]);
});

test('a device has one window of entries at a time, and nothing on its socket that it acked by HTTP while it waited for room', async () => {
  const waiting = 600;
  const carol = await TestClient.drained(await account('carol'));
  for (let i = 0; i < waiting; i++) carol.send({ t: 'send', id: `to-keen-${i}-00`, to: 'keen', body: 'x' });
  await carol.until('stored of all', () => carol.all('stored').length === waiting);
  const keen = await TestClient.open({ ...(await account('keen', 1)), ack: 'never' });
  const { window, gen } = keen.welcome;
  await keen.until('a window', () => keen.entries.length === window);
  keen.ack(100);
  await keen.until('what the ack made room for', () => keen.entries.length === window + 100);
  keen.send({ t: 'ping', n: 1 });
  await keen.until('the answer, behind whatever was written', () => keen.first('pong'));
  expect(keen.entries.length).toBe(window + 100);
  const acked = await fetch(`${stack.gatewayUrls[0]}/v1/messages/ack`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await stack.token('keen')}` },
    body: JSON.stringify({ device: 'phone', gen, seq: window + 150 }),
  });
  expect(acked.status).toBe(200);
  await keen.until('the close', () => keen.closed);
  expect(keen.closed?.code).toBe(4000);
  expect(keen.entries.length).toBe(window + 100);
  const again = await TestClient.drained(await account('keen'));
  expect(again.welcome.acked).toBe(window + 150);
  expect(again.messages.map(({ seq, replayed }) => [seq, replayed])).toEqual(
    Array.from({ length: waiting - window - 150 }, (_, i) => [window + 151 + i, expect.any(Boolean)]),
  );
  await Promise.all([carol.close(), again.close()]);
});

test('a gateway that was paused past its lease, and whose slot is another’s by then, closes its sockets with 4000 and starts over', async () => {
  const redis = redisOf(stack);
  // Slots are taken in order: the successor of the other one takes the first, once that is free.
  const logs = stack.run.gateways.map(({ name }) => readFileSync(join(stack.dir, 'logs', `${name}.log`), 'utf8'));
  const first = logs.findIndex((log) => log.includes('"slot":0,'));
  const [paused, other] = [stack.run.gateways[first]!, stack.run.gateways[1 - first]!];
  const bob = new RoamingClient('bob', await stack.token('bob'), [paused.url], 0);
  await bob.start();
  const sendToBob = async (id: string) => {
    const carol = await TestClient.drained(await account('carol', 1 - first));
    carol.send({ t: 'send', id, to: 'bob', body: 'x' });
    await carol.until('stored', () => carol.first('stored'));
    await carol.close();
  };
  await sendToBob('before-the-pause');
  await vi.waitFor(() => expect(bob.received.size).toBe(1), SOON);
  stack.killService(paused.name, 'SIGSTOP');
  try {
    await vi.waitFor(async () => expect(await redis.get('slot:0')).toBeNull(), SOON);
    stack.killService(other.name);
    await vi.waitFor(async () => {
      expect(stack.run.gateways[1 - first]!.pid).not.toBe(other.pid);
      expect((await fetch(`${other.url}/readyz`)).status).toBe(200);
    }, SOON);
    expect(await redis.get('slot:0')).not.toBeNull();
    await sendToBob('during-the-pause');
  } finally {
    stack.killService(paused.name, 'SIGCONT');
  }
  await sendToBob('after-the-pause');
  await vi.waitFor(() => expect(bob.received.size).toBe(3), SOON);
  expect([...bob.received]).toEqual(['before-the-pause', 'during-the-pause', 'after-the-pause']);
  expect(await metricOf(paused.adminUrl, 'restante_gateway_lease_losses_total')).toBe(1);
  expect(bob.closes).toContain(4000);
  expect(bob.rules.violations).toEqual([]);
  await bob.end();
  redis.disconnect();
});
