import { createDynamo } from '@restante/shared/runtime/dynamo';
import { pool } from '@restante/shared/runtime/pool';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import type { MessageFrame } from './support/frames.ts';
import { readHistory } from './support/history-table.ts';
import { call } from './support/http.ts';
import { DeviceRules } from './support/protocol-rules.ts';
import { type Stack, startStack } from './support/stack.ts';

/** Issue 3's "must show": someone is away, is sent to, and has it all when they return; through the other gateway. */
const MESSAGES = 1000;
const PARALLEL_CALLS = 20;
let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ env: { RATE_SEND_PER_SECOND: '100000', RATE_SEND_BURST: '100000' } });
});
afterAll(() => stack?.stop());

const account = async (user: string, gateway: number) => ({
  url: stack.gatewayUrls[gateway]!,
  user,
  device: 'phone',
  token: await stack.token(user),
});

/** Sends `count` messages, every other one by HTTP. @returns the ids in the order of sending, those of the socket first */
async function sendAll(sender: TestClient, from: string, to: string, count: number) {
  const token = await stack.token(from);
  const bySocket = Array.from({ length: count / 2 }, (_, i) => `socket-${from}-${i}`);
  const byHttp = Array.from({ length: count - bySocket.length }, (_, i) => `http-${from}-${i}`);
  for (const id of bySocket) sender.send({ t: 'send', id, to, body: `body of ${id}` });
  await pool(byHttp, PARALLEL_CALLS, async (id) => {
    const reply = await call(stack.gatewayUrls[0]!, '/v1/messages', { token, body: { id, to, body: `body of ${id}` } });
    expect(reply).toMatchObject({ status: 202, json: { id, status: 'accepted' } });
  });
  await sender.until('every answer', () => sender.all('stored').length === bySocket.length);
  expect(sender.all('accepted').map(({ id }) => id)).toEqual(bySocket);
  expect(sender.all('rejected')).toEqual([]);
  return { bySocket, byHttp };
}

const positions = (messages: MessageFrame[]) => messages.map(({ position }) => position);

test('1,000 messages to someone offline: all come in order through the other gateway, once, and are in the history', async () => {
  const alice = await TestClient.drained(await account('alice', 0));
  const { bySocket, byHttp } = await sendAll(alice, 'alice', 'bob', MESSAGES);

  const rules = new DeviceRules('bob/phone');
  const bob = await TestClient.drained({ ...(await account('bob', 1)), rules });
  expect(bob.welcome).toMatchObject({ user: 'bob', device: 'phone', acked: 0, tail: MESSAGES });
  const { messages } = bob;
  expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: MESSAGES }, (_, i) => i + 1));
  expect(positions(messages)).toEqual([...positions(messages)].sort((a, b) => a - b));
  expect(messages.filter(({ id }) => id.startsWith('socket')).map(({ id }) => id)).toEqual(bySocket);
  expect(messages.map(({ id }) => id).sort()).toEqual([...bySocket, ...byHttp].sort());
  expect(
    messages.every(({ id, body, from, replayed }) => body === `body of ${id}` && from === 'alice' && !replayed),
  ).toBe(true);
  // Batches are written side by side: which is stored first is open.
  const stored = alice.all('stored').map(({ position }) => Number(position));
  expect(stored.sort((a, b) => a - b)).toEqual(positions(messages.filter(({ id }) => id.startsWith('socket'))));

  await untilAcked('bob', MESSAGES);
  await bob.close();
  const again = await TestClient.drained({ ...(await account('bob', 1)), rules });
  expect(again.entries).toEqual([]);
  expect(again.welcome).toMatchObject({ acked: MESSAGES, tail: MESSAGES, gen: bob.welcome.gen });

  const dynamodb = stack.run.engines.find(({ name }) => name === 'dynamodb');
  const rows = await readHistory(createDynamo({ endpoint: dynamodb!.url, region: 'us-east-1' }));
  expect(rows.map(({ id, position }) => [id, position])).toEqual(messages.map(({ id, position }) => [id, position]));
});

test('a socket that is cut at half, with part of it unacked: what was unacked and the rest come again, in order, marked', async () => {
  const carol = await TestClient.drained(await account('carol', 0));
  await sendAll(carol, 'carol', 'dave', 600);

  const rules = new DeviceRules('dave/phone');
  const dave = await TestClient.open({ ...(await account('dave', 1)), rules, ack: 'never' });
  const { window } = dave.welcome;
  await dave.until('a window of entries', () => dave.messages.length === window);
  // Nothing beyond the window comes before an ack; half of the window is acked, so that half of it more comes.
  dave.ack(window / 2);
  await dave.until('what the ack released', () => dave.messages.length === window * 1.5);
  await untilAcked('dave', window / 2);
  await dave.drop();

  const back = await TestClient.drained({ ...(await account('dave', 0)), rules });
  expect(back.welcome).toMatchObject({ acked: window / 2, tail: 600, gen: dave.welcome.gen });
  expect(back.messages.map(({ seq }) => seq)).toEqual(
    Array.from({ length: 600 - window / 2 }, (_, i) => window / 2 + i + 1),
  );
  const sentBefore = new Set(dave.messages.map(({ seq }) => seq));
  for (const { seq, replayed } of back.messages) if (sentBefore.has(seq)) expect([seq, replayed]).toEqual([seq, true]);
  const all = [...dave.messages.filter(({ seq }) => seq <= window / 2), ...back.messages];
  expect(new Set(all.map(({ id }) => id)).size).toBe(600);
  expect(rules.violations).toEqual([]);
});

/** An ack is taken a moment after it was sent: waits until the server says so, by the other way of asking. */
async function untilAcked(user: string, acked: number): Promise<void> {
  const token = await stack.token(user);
  const acknowledged = async () =>
    (await call(stack.gatewayUrls[0]!, '/v1/messages/sync?device=phone&limit=1', { token })).json.acked;
  await vi.waitFor(async () => expect(await acknowledged()).toBe(acked), { timeout: 30_000, interval: 20 });
}
