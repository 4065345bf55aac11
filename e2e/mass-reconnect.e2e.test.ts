import { afterAll, beforeAll, expect, test } from 'vitest';
import { RefusedError, TestClient } from './support/client.ts';
import { type Stack, startStack } from './support/stack.ts';

/** All come back at once: those beyond what a gateway admits are told when to try again, and each of them gets all that waits. */
const CONNECT_PER_SECOND = 10;
const CLIENTS = 50;
const ENTRIES = 20;
const HEAVY_ENTRIES = 3_000;
let stack: Stack;

beforeAll(async () => {
  const env = {
    CONNECT_PER_SECOND: String(CONNECT_PER_SECOND),
    ...{ RATE_SEND_PER_SECOND: '100000', RATE_SEND_BURST: '100000' },
  };
  stack = await startStack({ gateways: 1, env });
});
afterAll(() => stack?.stop());

const account = async (user: string) => ({
  url: stack.gatewayUrls[0]!,
  user,
  device: 'phone',
  token: await stack.token(user),
});

test('a storm of handshakes is admitted at its pace, refused with Retry-After beyond, and all get everything', async () => {
  const alice = await TestClient.drained(await account('alice'));
  const users = ['heavy', ...Array.from({ length: CLIENTS }, (_, i) => `light-${i}`)];
  const owed = new Map(users.map((user) => [user, user === 'heavy' ? HEAVY_ENTRIES : ENTRIES]));
  let sent = 0;
  for (const [user, count] of owed) {
    for (let i = 0; i < count; i++) {
      alice.send({ t: 'send', id: `to-${user}-${i}`, to: user, body: 'x' });
      // A connection may have 2,000 sends unanswered.
      if (++sent % 1_000 === 0) await alice.until('answers', () => alice.all('accepted').length === sent);
    }
  }
  await alice.until('stored of all', () => alice.all('stored').length === sent, 60_000);

  const refusals: RefusedError[] = [];
  const connect = async (user: string): Promise<TestClient> => {
    for (;;) {
      const opened = await TestClient.drained(await account(user)).catch((error: Error) => error);
      if (opened instanceof TestClient) return opened;
      if (opened instanceof RefusedError) {
        refusals.push(opened);
        await new Promise((resolve) => setTimeout(resolve, Number(opened.headers['retry-after']) * 1000));
        // A first connection may come while the due queue has its inbox rebuilt without its device: told to connect again.
      } else if (!opened.message.includes('closed with 4000')) throw opened;
    }
  };
  const clients = await Promise.all(users.map(connect));
  expect(refusals.length).toBeGreaterThan(0);
  for (const { status, headers } of refusals) {
    expect(status).toBe(503);
    expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
  }
  for (const client of clients) {
    const { user } = client.welcome;
    expect([user, new Set(client.messages.map(({ id }) => id)).size]).toEqual([user, owed.get(user)]);
    await client.close();
  }
  await alice.close();
});
