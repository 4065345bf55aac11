import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TOPICS } from '@restante/shared/contract/events';
import { createKafka } from '@restante/shared/kafka/client';
import { committed, logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import { asSent, RoamingClient } from './support/roaming-client.ts';
import { type Stack, startStack } from './support/stack.ts';

/** Everything of ours is restarted in turn, in order (SIGTERM), under load: nothing is lost, nothing out of order. */
const PAIRS = 6;
const SEND_EACH_MS = 5;
const DRAIN_MS = 2_000;
const SOON = { timeout: 90_000, interval: 50 };
let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ gateways: 2, messaging: 2, notification: 2, env: { DRAIN_MS: String(DRAIN_MS) } });
});
afterAll(() => stack?.stop());

type Service = { name: string; pid: number; adminUrl: string };
const serviceNow = (name: string): Service =>
  [...stack.run.gateways, ...stack.run.services].find((one) => one.name === name)!;

/** Ends a service as a deployment does, and waits until its successor is ready. */
async function restart(name: string): Promise<void> {
  const before = stack.killService(name, 'SIGTERM');
  await vi.waitFor(async () => {
    const { pid, adminUrl } = serviceNow(name);
    expect(pid).not.toBe(before);
    const { status } = await fetch(`${adminUrl}/readyz`);
    expect(status).toBe(200);
  }, SOON);
}

/** Records that each group has not committed. */
async function uncommitted(): Promise<Record<string, number>> {
  const brokers = [stack.run.engines.find(({ name }) => name === 'kafka')!.url];
  const kafka = createKafka({ brokers, clientId: 'rolling-restart', logger: pino({ level: 'silent' }) });
  return withAdmin(kafka, async (admin) => {
    const lag = async (group: string, topic: string) => {
      const [ends, done] = await Promise.all([logEnds(admin, topic), committed(admin, group, topic)]);
      return [...ends].reduce((sum, [partition, end]) => sum + end - (done.get(partition) ?? 0), 0);
    };
    return {
      messaging: await lag('messaging', TOPICS.incoming),
      notification: await lag('notification', TOPICS.userEvents),
    };
  });
}

test('a rolling restart of all services under load', async () => {
  const roaming = async (user: string, turn: number) =>
    new RoamingClient(user, await stack.token(user), stack.gatewayUrls, turn);
  const senders = await Promise.all(Array.from({ length: PAIRS }, (_, i) => roaming(`from-${i}`, i)));
  const receivers = await Promise.all(Array.from({ length: PAIRS }, (_, i) => roaming(`to-${i}`, i + 1)));
  await Promise.all([...senders, ...receivers].map((client) => client.start()));
  const sent = senders.map((): string[] => []);
  const away: string[] = [];
  let next = 0;
  const load = setInterval(() => {
    const i = next++ % PAIRS;
    const id = `message-${i}-${sent[i]!.length}`;
    sent[i]!.push(id);
    senders[i]!.send(id, `to-${i}`);
    if (next % 10 !== 0) return;
    away.push(`to-zoe-${away.length}`);
    senders[0]!.send(away.at(-1)!, 'zoe');
  }, SEND_EACH_MS);
  const names = ['gateway-1', 'messaging-1', 'notification-1', 'gateway-2', 'messaging-2', 'notification-2'];
  try {
    for (const name of names) await restart(name);
  } finally {
    clearInterval(load);
  }

  await vi.waitFor(() => {
    expect(senders.map(({ unanswered }) => unanswered)).toEqual(senders.map(() => 0));
    expect(receivers.map(({ received }) => received.size)).toEqual(sent.map((ids) => ids.length));
  }, SOON);
  receivers.forEach(({ received }, i) => {
    expect(asSent(senders[i]!, received)).toEqual(asSent(senders[i]!, sent[i]!));
  });
  const zoe = await TestClient.drained({
    url: stack.gatewayUrls[0]!,
    user: 'zoe',
    device: 'phone',
    token: await stack.token('zoe'),
  });
  const came = zoe.messages.map(({ id }) => id);
  expect(asSent(senders[0]!, came)).toEqual(asSent(senders[0]!, away));
  await zoe.close();
  for (const client of [...senders, ...receivers]) expect(client.rules.violations).toEqual([]);

  const byes = [...senders, ...receivers].flatMap((client) => client.byes);
  // Each device was on one gateway when it was ended, some on both; one may have been between the two.
  expect(byes.length).toBeGreaterThan(PAIRS);
  for (const bye of byes) expect(bye).toMatchObject({ code: 4000, closed: 4000 });
  const waits = byes.map(({ reconnectAfterMs }) => reconnectAfterMs);
  expect(Math.max(...waits)).toBeLessThanOrEqual(DRAIN_MS);
  // Spread: were they drawn alike, all of them would be in one half.
  expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(DRAIN_MS / 4);
  await Promise.all([...senders, ...receivers].map((client) => client.end()));

  for (const name of names) {
    const log = readFileSync(join(stack.dir, 'logs', `${name}.log`), 'utf8');
    expect(log).toContain('"msg":"stopping"');
    expect(log).not.toMatch(/stop took too long|stop failed|unhandled rejection/);
  }
  await vi.waitFor(async () => expect(await uncommitted()).toEqual({ messaging: 0, notification: 0 }), SOON);
});
