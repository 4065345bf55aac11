import { RestanteClient } from '@restante/client/client';
import type { ClientOptions } from '@restante/client/client-options';
import { directCodec } from '@restante/client/e2ee/direct-codec';
import { generateKeyPair } from '@restante/client/e2ee/envelope';
import { memoryStore } from '@restante/client/store/memory-store';
import type { Message } from '@restante/client/views';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { call } from './support/http.ts';
import { emptyRedis } from './support/redis-of.ts';
import { type Stack, startStack } from './support/stack.ts';

/** What of the client's promises needs the real server to be shown: pushes, a server that lost its memory, ciphertext. */
let stack: Stack;
const running: RestanteClient[] = [];

beforeAll(async () => {
  stack = await startStack({ env: { RATE_SEND_PER_SECOND: '100000', RATE_SEND_BURST: '100000' } });
});
afterAll(async () => {
  await Promise.all(running.map((client) => client.stop()));
  await stack?.stop();
});

function client(user: string, options: Partial<ClientOptions> = {}): RestanteClient {
  const made = new RestanteClient({
    ...{ url: stack.gatewayUrls, user, token: () => stack.token(user), store: memoryStore() },
    environment: { WebSocket },
    backoff: { baseMs: 200, maxMs: 2000 },
    ...options,
  });
  running.push(made);
  return made;
}

/** What a screen with this conversation shows. */
function screen(of: RestanteClient, conversation: string): () => Message[] {
  let shown: Message[] = [];
  of.subscribeMessages(
    conversation,
    (messages) => {
      shown = messages;
    },
    { limit: 5000 },
  );
  return () => shown;
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = Date.now() + 90_000;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`waited 90 s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const bodies = (messages: Message[]): string[] => messages.map(({ body }) => body);
const numbers = (count: number, prefix: string): string[] => Array.from({ length: count }, (_, i) => `${prefix} ${i}`);

async function sendByHttp(from: string, to: string, texts: string[]): Promise<void> {
  const token = await stack.token(from);
  for (const body of texts) {
    const reply = await call(stack.gatewayUrls[0]!, '/v1/messages', {
      token,
      body: { id: `${from}-${body.replaceAll(' ', '-')}-id`, to, body },
    });
    expect(reply.status).toBe(202);
  }
}

test('a push wakes it: everything is fetched, saved and acknowledged by HTTP, and does not come again on the socket', async () => {
  const bo = client('push-bo');
  // The device exists from its first sync on.
  expect(await bo.handlePush()).toBe(0);
  await sendByHttp('push-ana', 'push-bo', numbers(250, 'm'));
  let fetched = 0;
  const end = Date.now() + 60_000;
  while (fetched < 250 && Date.now() < end) fetched += await bo.handlePush();
  expect(fetched).toBe(250);
  expect(await bo.handlePush()).toBe(0);
  const entries: string[] = [];
  bo.subscribeWire((direction, text) => {
    if (direction === 'in' && text.includes('"t":"message"')) entries.push(text);
  });
  let welcomed = '';
  bo.subscribeWire((_, text) => {
    if (text.includes('"t":"welcome"')) welcomed = text;
  });
  const shown = screen(bo, 'dm:push-ana:push-bo');
  await bo.start();
  await until('the welcome', () => welcomed !== '');
  expect(JSON.parse(welcomed)).toMatchObject({ acked: 250, tail: 250 });
  await sendByHttp('push-ana', 'push-bo', ['live']);
  await until('the next', () => shown().some(({ body }) => body === 'live'));
  expect(entries).toHaveLength(1);
  expect(bodies(shown())).toEqual([...numbers(250, 'm'), 'live']);
});

test('the server stores ciphertext only, the two read the text, and another device of the sender does too', async () => {
  const keys = { ana: await generateKeyPair(), bo: await generateKeyPair() };
  const names = { ana: 'e2e-ana', bo: 'e2e-bo' };
  const conversation = `dm:${names.ana}:${names.bo}`;
  const publicKeyOf = async (user: string) => (user === names.ana ? keys.ana : keys.bo).publicKey;
  const codec = (who: 'ana' | 'bo') => directCodec({ user: names[who], keys: keys[who], publicKeyOf });
  const ana = client(names.ana, { codec: codec('ana') });
  const tablet = client(names.ana, { codec: codec('ana') });
  const bo = client(names.bo, { codec: codec('bo') });
  const screens = [ana, tablet, bo].map((one) => screen(one, conversation));
  await Promise.all([ana.start(), tablet.start(), bo.start()]);
  await ana.send({ to: names.bo }, 'only for us two');
  await until('the text on bo’s screen', () => screens[2]!().length === 1);
  await until('the text on ana’s screen', () => screens[0]!().some(({ position }) => position !== undefined));
  for (const shown of [screens[0]!, screens[2]!])
    expect(shown()).toMatchObject([{ body: 'only for us two', encrypted: true }]);
  await tablet.loadOlder(conversation);
  await until('the text on the tablet', () => screens[1]!().length === 1);
  expect(screens[1]!()).toMatchObject([{ body: 'only for us two', encrypted: true }]);
  const path = `/v1/conversations/${encodeURIComponent(conversation)}/messages`;
  const token = await stack.token(names.bo);
  // What was delivered may be stored a moment later.
  const history = await vi.waitFor(async () => {
    const stored = await call(stack.gatewayUrls[0]!, path, { token });
    expect(JSON.stringify(stored)).toContain('e2e1.');
    return stored;
  }, 10_000);
  expect(JSON.stringify(history)).not.toContain('only for us two');
});

test('Redis loses everything while both are at it: nothing is lost and nothing shows twice', async () => {
  const conversation = 'dm:loss-ana:loss-bo';
  const ana = client('loss-ana');
  const bo = client('loss-bo');
  const [mine, theirs] = [screen(ana, conversation), screen(bo, conversation)];
  const generations = new Set<number>();
  bo.subscribeWire((direction, text) => {
    const frame = JSON.parse(text) as { t: string; gen?: number };
    if (direction === 'in' && frame.gen !== undefined) generations.add(frame.gen);
  });
  await Promise.all([ana.start(), bo.start()]);
  for (const body of numbers(20, 'before')) await ana.send({ to: 'loss-bo' }, body);
  await until('the first', () => theirs().length === 20);
  bo.pause();
  for (const body of numbers(20, 'away')) await ana.send({ to: 'loss-bo' }, body);
  await until('them to be stored', () => mine().filter(({ position }) => position !== undefined).length === 40);
  await emptyRedis(stack);
  for (const body of numbers(20, 'after the loss')) await ana.send({ to: 'loss-bo' }, body);
  bo.resume();
  const all = [...numbers(20, 'before'), ...numbers(20, 'away'), ...numbers(20, 'after the loss')];
  await until('everything', () => theirs().length >= all.length);
  await until('every tick', () => mine().every(({ position }) => position !== undefined));
  expect(bodies(theirs())).toEqual(all);
  expect(bodies(mine())).toEqual(all);
  expect(generations.size).toBe(2);
});
