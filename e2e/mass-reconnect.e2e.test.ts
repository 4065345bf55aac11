import { afterEach, expect, test } from 'vitest';
import { type ClientOptions, RefusedError, TestClient } from './support/client.ts';
import { type Stack, startStack } from './support/stack.ts';

/** All come back at once: those beyond what a gateway admits are told when to try again, and each of them gets all that waits. */
const ENTRIES = 20;
/** Sends of one connection at a time; it may have 2,000 unanswered. */
const SENDS_AT_ONCE = 1_000;
const DONE_MS = 120_000;
let stack: Stack;

const start = async (env: Record<string, string>) => {
  const rates = { RATE_SEND_PER_SECOND: '100000', RATE_SEND_BURST: '100000' };
  stack = await startStack({ gateways: 1, env: { ...rates, ...env } });
};
afterEach(() => stack?.stop());

const account = async (user: string): Promise<ClientOptions> => ({
  url: stack.gatewayUrls[0]!,
  user,
  device: 'phone',
  token: await stack.token(user),
});
const idsOf = (user: string, count: number) => Array.from({ length: count }, (_, i) => `to-${user}-${i}`);

/** Stores as many messages for each user. */
async function fill(owed: ReadonlyMap<string, number>): Promise<void> {
  const all = [...owed].flatMap(([to, count]) => idsOf(to, count).map((id) => ({ t: 'send', id, to, body: 'x' })));
  for (let from = 0; from < all.length; from += SENDS_AT_ONCE) {
    const alice = await TestClient.drained(await account('alice'));
    const some = all.slice(from, from + SENDS_AT_ONCE);
    for (const frame of some) alice.send(frame);
    await alice.until('stored of all', () => alice.all('stored').length === some.length, DONE_MS);
    await alice.close();
  }
}

test('a storm of handshakes is admitted at its pace, refused with Retry-After beyond, and all get everything', async () => {
  await start({ CONNECT_PER_SECOND: '10' });
  const users = ['heavy', ...Array.from({ length: 50 }, (_, i) => `light-${i}`)];
  const owed = new Map(users.map((user) => [user, user === 'heavy' ? 3_000 : ENTRIES]));
  await fill(owed);

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
});

test('one with a long backlog, who came first, delays nobody: all with a short one are drained before', async () => {
  // Small pages, so that the long one takes as many rounds as a longer one would of larger pages.
  await start({ CONNECT_PER_SECOND: '100000', WINDOW_ENTRIES: '16', PREFETCH_ENTRIES: '16' });
  const light = Array.from({ length: 100 }, (_, i) => `light-${i}`);
  const owed = new Map([['heavy', 10_000], ...light.map((user): [string, number] => [user, ENTRIES])]);
  let drained: string[] = [];
  const connect = async (user: string) => {
    const onFrame = ({ t }: { t: string }) => void (t === 'drained' && drained.push(user));
    return TestClient.open({ ...(await account(user)), onFrame });
  };
  // Whose device is known is not told to connect again, as one may be whose inbox is made anew meanwhile.
  for (const client of await Promise.all([...owed.keys()].map(connect))) {
    await client.until('drained', () => client.first('drained'));
    await client.close();
  }
  drained = [];
  await fill(owed);

  const heavy = await connect('heavy');
  await heavy.until('its first entry', () => heavy.messages.length > 0);
  const clients = [heavy, ...(await Promise.all(light.map(connect)))];
  for (const client of clients) {
    const { user } = client.welcome;
    await client.until('drained', () => client.first('drained'), DONE_MS);
    expect(client.messages.map(({ id }) => id)).toEqual(idsOf(user, owed.get(user)!));
    await client.close();
  }
  expect(drained).toHaveLength(clients.length);
  expect(drained.at(-1)).toBe('heavy');
});
