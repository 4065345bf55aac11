import { createDynamo } from '@restante/shared/runtime/dynamo';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type Line, startLine } from './faults/line.ts';
import { RefusedError, TestClient } from './support/client.ts';
import { readHistory } from './support/history-table.ts';
import { call } from './support/http.ts';
import { metricOf } from './support/metrics.ts';
import { OwnEngines } from './support/own-engines.ts';
import { type Stack, startStack } from './support/stack.ts';

/**
 * docs/degraded-modes.md, row by row: an engine is away, or messaging does not follow. Sockets stay, what was accepted comes once it is
 * back, in order, and what was refused never does; nobody restarts anything of ours, and the launcher has not had to.
 */
const BACKLOG_MAX_RECORDS = 200;
/** Short, so that a test can wait for its end; long enough that no other test goes past it. */
const LEASE_MS = 4_000;
const SEND_EACH_MS = 10;
const RECOVERED_MS = 90_000;
const engines = new OwnEngines();
let stack: Stack;
let dynamodb: string;
let redis: Redis;
/** Between our services and Redis: with it cut, Redis goes on, and what it keeps for a time runs out. */
let redisLine: Line;
let booted: [string, number][];
let turn = 0;
let alice: TestClient;
let bob: TestClient;
let sent: string[];

beforeAll(async () => {
  const urls = await engines.start();
  dynamodb = urls.DYNAMODB_ENDPOINT!;
  redis = new Redis(urls.REDIS_URL!);
  // It is away in a test, and comes back.
  redis.on('error', () => {});
  redisLine = await startLine({ port: Number(new URL(urls.REDIS_URL!).port) });
  const env = {
    ...urls,
    REDIS_URL: `redis://127.0.0.1:${redisLine.port}`,
    LEASE_MS: String(LEASE_MS),
    BACKLOG_PACED_RECORDS: String(BACKLOG_MAX_RECORDS / 4),
    BACKLOG_MAX_RECORDS: String(BACKLOG_MAX_RECORDS),
    ...{ RATE_SEND_PER_SECOND: '100000', RATE_SEND_BURST: '100000' },
  };
  stack = await startStack({ env });
  booted = ourPids();
});
afterAll(async () => {
  await stack?.stop();
  await redisLine?.close();
  redis?.disconnect();
  await engines.end();
});

const ourPids = () =>
  [...stack.run.gateways, ...stack.run.services].map(({ name, pid }): [string, number] => [name, pid]);

const account = async (name: string, gateway = 0) => {
  const user = `${name}-${turn}`;
  return { url: stack.gatewayUrls[gateway]!, user, device: 'phone', token: await stack.token(user) };
};
const idsOf = (type: string) => alice.all(type).map(({ id }) => String(id));
/** What bob has of alice, each once, in the order of its first coming. */
const delivered = () => [...new Set(bob.messages.map(({ id }) => id))];

function send(): string {
  const id = `message-${turn}-${sent.length}`;
  sent.push(id);
  alice.send({ t: 'send', id, to: bob.welcome.user, body: `body of ${id}` });
  return id;
}

const send30 = (): string[] => Array.from({ length: 30 }, send);

/** Goes on sending until something has come of it. */
async function sendUntil<T>(what: string, condition: () => T | undefined | false): Promise<T> {
  const timer = setInterval(send, SEND_EACH_MS);
  try {
    return await alice.until(what, condition, RECOVERED_MS);
  } finally {
    clearInterval(timer);
  }
}

/** A conversation that works: both connected, through different gateways, and one message across. */
beforeEach(async () => {
  turn++;
  sent = [];
  // A gateway whose own connection to Redis is not back yet still says when to come again.
  const connect = async (name: string, gateway?: number) => {
    const options = await account(name, gateway);
    return vi.waitFor(() => TestClient.drained(options), { timeout: RECOVERED_MS, interval: 500 });
  };
  alice = await connect('alice');
  bob = await connect('bob', 1);
  const first = send();
  await bob.until('a first message', () => delivered().includes(first), RECOVERED_MS);
  await alice.until('its stored', () => idsOf('stored').includes(first), RECOVERED_MS);
});

/** All is well again: a new message is accepted, each send has one outcome, and bob has just what was accepted, in order. */
afterEach(async () => {
  const before = sent.length;
  await sendUntil('an accepted', () => idsOf('accepted').some((id) => sent.indexOf(id) >= before));
  const answered = () => idsOf('accepted').length + idsOf('rejected').length === sent.length;
  await alice.until('an answer to each', answered, RECOVERED_MS);
  await alice.until('stored of each', () => idsOf('stored').length === idsOf('accepted').length, RECOVERED_MS);
  await bob.until('all that was accepted', () => delivered().length === idsOf('accepted').length, RECOVERED_MS);
  const accepted = new Set(idsOf('accepted'));
  expect(delivered()).toEqual(sent.filter((id) => accepted.has(id)));
  expect(idsOf('rejected').filter((id) => accepted.has(id))).toEqual([]);
  expect([alice.closed, bob.closed]).toEqual([undefined, undefined]);
  expect(ourPids()).toEqual(booted);
  await Promise.all([alice.close(), bob.close()]);
});

test('Kafka is away: sends are refused at once with when to come again, whoever connects gets the backlog when it is back', async () => {
  const carolAccount = await account('carol');
  await (await TestClient.drained(carolAccount)).close();
  let carol: TestClient | undefined;
  await engines.away('kafka', async () => {
    const rejected = await sendUntil('a refusal', () => alice.first('rejected'));
    expect(rejected).toMatchObject({ code: 'overloaded', retryable: true });
    expect(rejected.retryAfterMs).toBeGreaterThan(0);
    const { token } = await account('alice');
    const body = { id: 'by-http-1', to: bob.welcome.user, body: 'x' };
    const byHttp = await call(stack.gatewayUrls[0]!, '/v1/messages', { token, body });
    expect(byHttp).toMatchObject({ status: 503, json: { code: 'overloaded' } });
    expect(Number(byHttp.headers.get('retry-after'))).toBeGreaterThan(0);
    carol = await TestClient.open(carolAccount);
  });
  await carol!.until('drained', () => carol!.first('drained'), RECOVERED_MS);
  await carol!.close();
});

test('Redis is away: what is sent is accepted and waits in the log, who would connect is told when to come again', async () => {
  let ids: string[] = [];
  await engines.away('redis', async () => {
    ids = send30();
    await alice.until('accepted', () => ids.every((id) => idsOf('accepted').includes(id)));
    const refused = await TestClient.open(await account('carol')).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RefusedError);
    expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': expect.stringMatching(/^\d+$/) } });
    expect(delivered()).toHaveLength(1);
    expect([alice.closed, bob.closed]).toEqual([undefined, undefined]);
  });
  await bob.until('what waited', () => delivered().length === 1 + ids.length, RECOVERED_MS);
});

test('Redis is away past the lease: sockets stay, each gateway takes its slot again, what waited in the log comes', async () => {
  const leases = async () => {
    const slots = (await redis.keys('slot:*')).sort();
    return Promise.all(slots.map(async (slot) => [slot, await redis.get(slot)]));
  };
  const held = await leases();
  expect(held).toHaveLength(2);
  redisLine.set({ refuses: true });
  redisLine.cut();
  const ids = send30();
  await alice.until('accepted', () => ids.every((id) => idsOf('accepted').includes(id)));
  await vi.waitFor(async () => expect(await leases()).toEqual([]), { timeout: RECOVERED_MS });
  expect(delivered()).toHaveLength(1);
  expect([alice.closed, bob.closed]).toEqual([undefined, undefined]);
  redisLine.set({});
  await bob.until('what waited', () => delivered().length === 1 + ids.length, RECOVERED_MS);
  // Under the lease that the sessions of their sockets name: hints for these have a reader again.
  await vi.waitFor(async () => expect(await leases()).toEqual(held), { timeout: RECOVERED_MS });
});

test('DynamoDB is away: delivery goes on, stored comes late, the history has all of it then', async () => {
  let ids: string[] = [];
  await engines.away('dynamodb', async () => {
    ids = send30();
    await bob.until('all of it', () => delivered().length === 1 + ids.length);
    expect(idsOf('accepted')).toEqual(sent);
    expect(idsOf('stored')).toHaveLength(1);
  });
  await alice.until('stored', () => idsOf('stored').length === sent.length, RECOVERED_MS);
  const rows = await readHistory(createDynamo({ endpoint: dynamodb, region: 'us-east-1' }));
  const kept = new Set(rows.map(({ id }) => id));
  expect(ids.filter((id) => !kept.has(id))).toEqual([]);
});

test('messaging does not follow: answers are held back, beyond BACKLOG_MAX_RECORDS sends are refused, until it has caught up', async () => {
  const { adminUrl } = stack.run.gateways[0]!;
  stack.killService('messaging-1', 'SIGSTOP');
  const rejected = await sendUntil('a refusal', () => alice.first('rejected'));
  expect(await metricOf(adminUrl, 'restante_gateway_partitions_paced')).toBe(1);
  stack.killService('messaging-1', 'SIGCONT');
  await vi.waitFor(async () => expect(await metricOf(adminUrl, 'restante_gateway_partitions_paced')).toBe(0), {
    timeout: RECOVERED_MS,
  });
  expect(rejected).toMatchObject({ code: 'overloaded', message: expect.stringContaining('wait too long') });
  expect(rejected.retryAfterMs).toBeGreaterThan(0);
  expect(idsOf('accepted').length).toBeGreaterThan(BACKLOG_MAX_RECORDS);
});
