import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeDeadLetter, TOPICS } from '@restante/shared/contract/events';
import type { Receipt } from '@restante/shared/inbox/receipts-redis';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { readRange } from '@restante/shared/kafka/read-range';
import { testKafka, testLogger, testTopic } from '@restante/shared/kafka/test-topic';
import { committed, logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ReceiptLog } from './receipt-log.ts';
import { Webhooks, webhookTarget } from './webhooks.ts';

type Verify = (secret: string, headers: IncomingHttpHeaders, body: string, nowMs?: number) => unknown;
type Call = { headers: IncomingHttpHeaders; body: string };

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const SOON = { timeout: 30_000, interval: 20 };
const kafka = testKafka();
let server: Server;
let calls: Call[];
/** What the server answers next; 204 where nothing is said. */
let answer: (call: Call) => number;
let producer: BatchingProducer;
let topics: { receipts: string; deadLetters: string };
let groups: { receipts: string; deadLetters: string };
const running: Webhooks[] = [];

beforeEach(async () => {
  calls = [];
  answer = () => 204;
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const call = { headers: request.headers, body: Buffer.concat(chunks).toString() };
      calls.push(call);
      response.writeHead(answer(call)).end('thanks');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  topics = { receipts: await testTopic(kafka, 2), deadLetters: await testTopic(kafka, 1) };
  groups = { receipts: `receipts-${randomUUID()}`, deadLetters: `letters-${randomUUID()}` };
  producer = new BatchingProducer({ kafka, logger: testLogger, topics: Object.values(topics) });
  await producer.start();
});
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
  await producer.stop(0);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function start(attempts = 3): Promise<Webhooks> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const target = { url, secret: SECRET, attempts, retryMs: 20 };
  const webhooks = new Webhooks({ kafka, producer, target, topics, groups, logger: testLogger });
  running.push(webhooks);
  await webhooks.start();
  return webhooks;
}
const receipt = (user: string, position: number): Receipt => ({ conversation: 'dm:a:b', user, kind: 'read', position });
const publish = (...receipts: Receipt[]) => new ReceiptLog(producer, topics.receipts).write(receipts);
const told = () =>
  calls.map(({ body }) => JSON.parse(body) as { type: string; timestamp: string; data: Record<string, unknown> });
const people = () => told().map(({ data }) => data.user);
const allCommitted = (topic: string, group: string) =>
  withAdmin(kafka, async (admin) => {
    const done = await committed(admin, group, topic);
    for (const [partition, end] of await logEnds(admin, topic)) expect(done.get(partition) ?? 0).toBe(end);
  });

/** The code of docs/webhooks.md, as a reader would take it over. */
function documentedVerify(): Verify {
  const page = readFileSync(new URL('../../../docs/webhooks.md', import.meta.url), 'utf8');
  const code = /```js\n([\s\S]*?)```/
    .exec(page)![1]!
    .replace(/^import .*$/gm, '')
    .replace('export function', 'return function');
  return new Function('createHmac', 'timingSafeEqual', code)(createHmac, timingSafeEqual) as Verify;
}

it('tells of receipts, signed so that the code of the docs takes them, and takes nothing that was changed or is old', async () => {
  await start();
  await publish(receipt('alice', 7), { ...receipt('bob', 9), kind: 'delivered' });
  await vi.waitFor(() => expect(calls).toHaveLength(2), SOON);
  const [one] = told().filter(({ data }) => data.user === 'alice');
  expect(one).toEqual({
    type: 'receipt.read',
    timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    data: { conversation: 'dm:a:b', user: 'alice', position: 7 },
  });
  expect(
    told()
      .map(({ type }) => type)
      .sort(),
  ).toEqual(['receipt.delivered', 'receipt.read']);
  const verify = documentedVerify();
  for (const { headers, body } of calls) {
    expect(verify(SECRET, headers, body)).toEqual(JSON.parse(body));
    expect(() => verify(SECRET, headers, body.replace('dm:a:b', 'dm:a:c'))).toThrow(/signature/);
    expect(() => verify('whsec_b3RoZXI=', headers, body)).toThrow(/signature/);
    expect(() => verify(SECRET, { ...headers, 'webhook-id': 'other' }, body)).toThrow(/signature/);
    expect(() => verify(SECRET, headers, body, Date.now() + 3_600_000)).toThrow(/old/);
  }
});

it('of several receipts that wait it tells the furthest', async () => {
  await publish(...Array.from({ length: 50 }, (_, i) => receipt('alice', i)));
  await start();
  await vi.waitFor(async () => allCommitted(topics.receipts, groups.receipts), SOON);
  expect(told().map(({ data }) => data.position)).toContain(49);
  expect(calls.length).toBeLessThan(50);
});

it('sends again what is not answered by 2xx, with the same id', async () => {
  const failures = [500, 302, 404];
  answer = () => failures.shift() ?? 200;
  await start(4);
  await publish(receipt('alice', 1));
  await vi.waitFor(async () => allCommitted(topics.receipts, groups.receipts), SOON);
  expect(calls).toHaveLength(4);
  expect(new Set(calls.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
});

it('gives a receipt up after so many attempts, to the dead letters, goes on, and does not tell of that', async () => {
  answer = ({ body }) => (body.includes('"alice"') ? 503 : 204);
  await start(2);
  await publish(receipt('alice', 1));
  await publish(receipt('bob', 1));
  await vi.waitFor(async () => {
    expect(people()).toContain('bob');
    await allCommitted(topics.receipts, groups.receipts);
    await allCommitted(topics.deadLetters, groups.deadLetters);
  }, SOON);
  expect(people().filter((user) => user === 'alice')).toHaveLength(2);
  const letters = await lettersOf(topics.deadLetters);
  expect(letters).toMatchObject([
    { topic: topics.receipts, reason: 'not taken in 2 attempts: status 503', key: 'dm:a:b' },
  ]);
  expect(told().map(({ type }) => type)).not.toContain('dead_letter');
});

it('tells of dead letters, without what was in them', async () => {
  await start();
  const letter = {
    ...{
      source: 'incoming_messages/0/5',
      reason: 'not JSON',
      at: 1,
      topic: TOPICS.incoming,
      partition: 0,
      offset: '5',
    },
    ...{ key: null, valueBase64: Buffer.from('a secret').toString('base64') },
  };
  await producer.send(topics.deadLetters, 0, letter.source, JSON.stringify(letter));
  await vi.waitFor(() => expect(calls).toHaveLength(1), SOON);
  const { valueBase64: _, ...shown } = letter;
  expect(told()).toEqual([{ type: 'dead_letter', timestamp: new Date(1).toISOString(), data: shown }]);
});

it('a stop in the midst of retries loses nothing: the next one sends it', async () => {
  answer = () => 500;
  const first = await start(1_000_000);
  await publish(receipt('alice', 1));
  await vi.waitFor(() => expect(calls.length).toBeGreaterThan(1), SOON);
  await first.stop();
  answer = () => 204;
  calls = [];
  await start();
  await vi.waitFor(async () => allCommitted(topics.receipts, groups.receipts), SOON);
  expect(people()).toEqual(['alice']);
});

it('is off where no address is set, and refuses to be unsigned', () => {
  const settings = { WEBHOOK_URL: undefined, WEBHOOK_SECRET: undefined, WEBHOOK_ATTEMPTS: 1, WEBHOOK_RETRY_MS: 1 };
  expect(webhookTarget(settings)).toBeUndefined();
  expect(() => webhookTarget({ ...settings, WEBHOOK_URL: 'http://127.0.0.1/' })).toThrow(/WEBHOOK_SECRET/);
});

async function lettersOf(topic: string) {
  const toOffset = (await withAdmin(kafka, (admin) => logEnds(admin, topic))).get(0) ?? 0;
  const letters: unknown[] = [];
  const handle = async (records: { value: Buffer | null }[]) => {
    for (const { value } of records) {
      const decoded = decodeDeadLetter(value);
      if (decoded.ok) letters.push(decoded.value);
    }
  };
  const { signal } = new AbortController();
  await readRange({
    kafka,
    topic,
    partition: 0,
    sinceMs: 0,
    fromOffset: 0,
    toOffset,
    handle,
    logger: testLogger,
    signal,
  });
  return letters;
}
