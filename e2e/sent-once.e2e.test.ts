import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { metricsText } from './support/metrics.ts';
import { type Stack, startStack } from './support/stack.ts';

/** A sender who never heard the answer sends again, by either way, through either gateway: it is stored and delivered once. */
let stack: Stack;
let turn = 0;
let bob: TestClient;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.stop());

const account = async (name: string, gateway: number) => {
  const user = `${name}-${turn}`;
  return { url: stack.gatewayUrls[gateway]!, user, device: 'phone', token: await stack.token(user) };
};
let before = 0;
beforeEach(async () => {
  turn++;
  before = await repeated();
  bob = await TestClient.drained(await account('bob', 1));
});

/** Sends that messaging has known for repetitions: without some, nothing would be shown here. */
async function repeated(): Promise<number> {
  const { adminUrl } = stack.run.services.find(({ name }) => name === 'messaging-1')!;
  const line = /^restante_messaging_messages_total\{outcome="repeated"\} (\d+)/m.exec(await metricsText(adminUrl));
  return Number(line?.[1] ?? 0);
}

/** What bob has once `last`, which was sent after all else, has come. */
async function delivered(): Promise<string[]> {
  const alice = await TestClient.drained(await account('alice', 0));
  alice.send({ t: 'send', id: 'the-last-one', to: bob.welcome.user, body: 'last' });
  await bob.until('the last', () => bob.messages.find(({ id }) => id === 'the-last-one'));
  await Promise.all([alice.close(), bob.close()]);
  expect(await repeated()).toBeGreaterThan(before);
  return bob.messages.map(({ id, body }) => `${id} ${body}`);
}

const message = (body = 'hello') => ({ id: 'message-1', to: bob.welcome.user, body });

/** Posts, and is gone once the gateway has it: the answer finds nobody. */
function postAndLeave(url: string, token: string, body: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const headers = { authorization: `Bearer ${token}`, 'content-length': String(text.length) };
    const posting = request(`${url}/v1/messages`, { method: 'POST', headers });
    posting.on('error', reject);
    posting.on('finish', () => {
      posting.off('error', reject).on('error', () => {});
      // As soon as it is written: the answer takes a round trip to Kafka at least.
      setImmediate(() => {
        posting.destroy();
        resolve();
      });
    });
    posting.end(text);
  });
}

test('by HTTP, the connection breaks before the answer: sent again, it is accepted as before and comes once', async () => {
  const { url, token } = await account('alice', 0);
  for (let i = 0; i < 3; i++) await postAndLeave(url, token, message());
  const again = await call(stack.gatewayUrls[1]!, '/v1/messages', { token, body: message() });
  expect(again).toMatchObject({ status: 202, json: { id: 'message-1', status: 'accepted' } });
  expect(await delivered()).toEqual(['message-1 hello', 'the-last-one last']);
});

test('on the socket, it is cut before the answer: sent again on the next, each gets the one position, and it comes once', async () => {
  for (let i = 0; i < 3; i++) {
    const gone = await TestClient.drained(await account('alice', i % 2));
    gone.send({ t: 'send', ...message() });
    await gone.drop();
  }
  const back = await TestClient.drained(await account('alice', 1));
  const stored: unknown[] = [];
  for (let i = 1; i <= 2; i++) {
    back.send({ t: 'send', ...message() });
    await back.until('stored', () => back.all('stored').length === i);
    stored.push(back.all('stored').at(-1)!.position);
  }
  expect(stored[0]).toBe(stored[1]);
  await back.close();
  expect(await delivered()).toEqual(['message-1 hello', 'the-last-one last']);
  expect(bob.messages[0]!.position).toBe(stored[0]);
});

test('once by either way, then by the other; and with other content it is a conflict that changes nothing', async () => {
  const { token } = await account('alice', 0);
  const alice = await TestClient.drained(await account('alice', 0));
  alice.send({ t: 'send', ...message() });
  await alice.until('stored', () => alice.first('stored'));
  const byHttp = await call(stack.gatewayUrls[1]!, '/v1/messages', { token, body: message() });
  expect(byHttp.status).toBe(202);
  alice.send({ t: 'send', ...message('another text') });
  const rejected = await alice.until('a refusal', () => alice.first('rejected'));
  expect(rejected).toMatchObject({ id: 'message-1', code: 'duplicate_conflict', retryable: false });
  await alice.close();
  expect(await delivered()).toEqual(['message-1 hello', 'the-last-one last']);
});
