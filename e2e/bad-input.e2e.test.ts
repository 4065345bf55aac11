import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { decodeDeadLetter, TOPICS } from '@restante/shared/contract/events';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { connectUrl, RefusedError, TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { type Stack, startStack } from './support/stack.ts';

/** Bad input gets an error that names it; what was good before and after it is not lost. */
let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ env: { RATE_SEND_PER_SECOND: '20', RATE_SEND_BURST: '60' } });
});
afterAll(() => stack?.stop());

const account = async (user: string, gateway = 0, claims: Record<string, unknown> = {}) => ({
  url: stack.gatewayUrls[gateway]!,
  user,
  device: 'phone',
  token: await stack.token(user, claims),
});

const refusal = async (user: string, change: Partial<{ token: string; device: string }>): Promise<RefusedError> => {
  const opened = await TestClient.open({ ...(await account(user)), ...change }).catch((error: unknown) => error);
  if (!(opened instanceof RefusedError)) throw new Error(`not refused: ${String(opened)}`);
  return opened;
};

describe('frames', () => {
  const BAD: [what: string, text: string, code: string][] = [
    ['no JSON', '{"t":"send"', 'bad_frame'],
    ['an array', '[1]', 'bad_frame'],
    ['no type', '{}', 'bad_frame'],
    ['an unknown type', '{"t":"constructor"}', 'bad_frame'],
    ['an ack without gen', '{"t":"ack","seq":1}', 'bad_field'],
    ['an ack of the future', '{"t":"ack","seq":9,"gen":1}', 'bad_field'],
    ['a watch of nobody', '{"t":"watch","users":["not a user!"]}', 'bad_field'],
    ['a send without an id', '{"t":"send","to":"bob","body":"x"}', 'bad_field'],
  ];
  test.each(BAD)('%s: an error, and the connection goes on', async (what, text, code) => {
    const client = await TestClient.drained(await account(`frames-${BAD.findIndex(([one]) => one === what)}`));
    client.socket.send(text);
    const error = await client.until('the error', () => client.first('error'));
    expect(error).toMatchObject({ code });
    expect(String(error.message).length).toBeGreaterThan(5);
    client.send({ t: 'ping', n: 7 });
    expect(await client.until('pong', () => client.first('pong'))).toMatchObject({ n: 7 });
    await client.close();
  });

  test('a send with an id is rejected by its id, and names the field', async () => {
    const client = await TestClient.drained(await account('rejects'));
    const bad: [Record<string, unknown>, string, RegExp][] = [
      [{ to: 'no such user!', body: 'x' }, 'bad_field', /to/],
      [{ to: 'bob', conversation: 'dm:bob:rejects', body: 'x' }, 'bad_field', /exactly one/],
      [{ to: 'bob', body: 'x'.repeat(33_000) }, 'too_large', /body/],
      [{ conversation: 'dm:alice:bob', body: 'x' }, 'not_a_member', /not in/],
      [{ conversation: 'grp:nowhere', body: 'x' }, 'no_such_conversation', /grp:nowhere/],
    ];
    for (const [i, [fields, code, message]] of bad.entries()) {
      const id = `bad-send-${i}`;
      client.send({ t: 'send', id, ...fields });
      const rejected = await client.until(id, () => client.all('rejected').find((frame) => frame.id === id));
      expect(rejected).toMatchObject({ code, retryable: false });
      expect(rejected.message).toMatch(message);
    }
    await client.close();
  });

  test('one id with the same content is one message, with other content a conflict', async () => {
    const client = await TestClient.drained(await account('twice'));
    const frame = { t: 'send', id: 'same-id-0001', to: 'bob', body: 'one' };
    client.send(frame);
    client.send(frame);
    const stored = await client.until('both', () => {
      const all = client.all('stored');
      return all.length === 2 && all;
    });
    expect(stored[0]!.position).toBe(stored[1]!.position);
    client.send({ ...frame, body: 'another' });
    expect(await client.until('rejected', () => client.first('rejected'))).toMatchObject({
      code: 'duplicate_conflict',
    });
    await client.close();
  });

  test('too large a frame closes with 1009, a binary one is an error, too many sends are told when to come again', async () => {
    const big = await TestClient.drained(await account('big'));
    big.socket.send(JSON.stringify({ t: 'ping', pad: 'x'.repeat(70_000) }));
    expect((await big.untilClosed()).code).toBe(1009);
    const flood = await TestClient.drained(await account('flood'));
    flood.socket.send(Buffer.from('{"t":"ping"}'));
    expect(await flood.until('error', () => flood.first('error'))).toMatchObject({ code: 'bad_frame' });
    for (let i = 0; i < 90; i++) flood.send({ t: 'send', id: `flood-msg-${i}`, to: 'bob', body: 'x' });
    const limited = await flood.until('rate_limited', () =>
      flood.all('rejected').find(({ code }) => code === 'rate_limited'),
    );
    expect(limited).toMatchObject({ retryable: true });
    expect(Number(limited.retryAfterMs)).toBeGreaterThan(0);
    await flood.close();
  });
});

describe('the handshake', () => {
  test('names what is wrong before the upgrade', async () => {
    expect(await refusal('ann', { token: 'nonsense' })).toMatchObject({ status: 401 });
    expect(await refusal('ann', { token: await stack.token('ann', { aud: 'another' }) })).toMatchObject({
      status: 401,
    });
    expect(await refusal('ann', { token: await stack.token('ann', { dev: 'tablet' }) })).toMatchObject({ status: 401 });
    const device = await refusal('ann', { device: 'no device!' });
    expect(device).toMatchObject({ status: 400 });
    expect(device.body).toMatch(/device/);
  });

  test('refuses a foreign Origin with 403', async () => {
    const { url, token } = await account('browser');
    const socket = new WebSocket(connectUrl(url, 'phone'), ['restante.v1', `bearer.${token}`], {
      origin: 'https://evil.example',
    });
    const status = await new Promise((resolve) => {
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode));
      socket.on('error', () => undefined);
    });
    expect(status).toBe(403);
  });

  test('a newer connection of the device closes the older with 4003', async () => {
    const older = await TestClient.drained(await account('replaced', 0));
    const newer = await TestClient.drained(await account('replaced', 1));
    expect((await older.untilClosed()).code).toBe(4003);
    await newer.close();
  });
});

test('HTTP answers problems that name the field', async () => {
  const { url, token } = await account('http');
  const cases: [string, { token?: string; body?: unknown }, number, string][] = [
    ['/v1/messages', { body: {} }, 401, 'unauthorized'],
    ['/v1/messages', { token, body: 'not json' }, 400, 'bad_frame'],
    ['/v1/messages', { token, body: { id: 'short', to: 'bob', body: 'x' } }, 400, 'bad_field'],
    ['/v1/messages', { token, body: { id: 'long-enough', to: 'bob', body: 'x'.repeat(33_000) } }, 413, 'too_large'],
    ['/v1/messages', { token, body: 'x'.repeat(70_000) }, 413, 'too_large'],
    ['/v1/messages/ack', { token, body: { device: 'phone', gen: 1, seq: -1 } }, 400, 'bad_field'],
    ['/v1/messages/ack', { token, body: { device: 'phone', gen: 1, seq: 5 } }, 400, 'bad_field'],
    ['/v1/messages/sync', { token }, 400, 'bad_field'],
    ['/v1/messages/sync?device=phone&limit=-1', { token }, 400, 'bad_field'],
    ['/v1/messages/no-such-id', { token }, 404, 'no_such_message'],
    ['/v1/conversations/grp:none', { token }, 404, 'no_such_conversation'],
    ['/v1/conversations/dm:a:b', { token }, 403, 'not_a_member'],
    ['/v1/nothing', { token }, 404, 'bad_frame'],
  ];
  for (const [path, options, status, code] of cases) {
    const reply = await call(url, path, options);
    expect(reply, path).toMatchObject({ status, json: { code, status } });
    expect(reply.headers.get('content-type')).toBe('application/problem+json');
  }
});

test('an undecodable record goes to the dead letters, and what comes after it is delivered', async () => {
  const logger = pino({ level: 'silent' });
  const brokers = [stack.run.engines.find(({ name }) => name === 'kafka')!.url];
  const kafka = createKafka({ brokers, clientId: 'bad-input', logger });
  const letters: string[] = [];
  const reader = await startSlotReader({
    kafka,
    topic: TOPICS.deadLetters,
    partition: 0,
    logger,
    onLost: () => undefined,
    handle: (records) => {
      for (const { value } of records) {
        const letter = decodeDeadLetter(value);
        if (letter.ok) letters.push(letter.value.source);
      }
    },
  });
  const topics = [TOPICS.incoming, TOPICS.userEvents];
  const producer = new BatchingProducer({ kafka, logger, topics });
  await producer.start();
  for (const topic of topics) {
    for (let partition = 0; partition < producer.partitionCount(topic); partition++) {
      await producer.send(topic, partition, 'x', '{"t":"no such command"}');
      await producer.send(topic, partition, 'x', Buffer.from([0xff, 0x00, 0x80]));
    }
  }
  const sent = topics.reduce((sum, topic) => sum + 2 * producer.partitionCount(topic), 0);
  await vi.waitFor(() => expect(new Set(letters).size).toBe(sent), { timeout: 60_000, interval: 100 });
  const eve = await TestClient.drained(await account('eve'));
  const fay = await TestClient.drained(await account('fay', 1));
  eve.send({ t: 'send', id: 'after-poison', to: 'fay', body: 'still here' });
  await fay.until('the message', () => fay.messages.find(({ id }) => id === 'after-poison'));
  await Promise.all([eve.close(), fay.close(), reader.stop(), producer.stop()]);
});

test.each([
  ['gateway', 'PORT', 'eighty'],
  ['messaging', 'KAFKA_BROKERS', 'not a broker'],
  ['notification', 'REDELIVER_AFTER_MS', '-5'],
])('%s refuses to start on %s=%s, and names it', async (service, name, value) => {
  const entry = fileURLToPath(new URL(`../${service}/dist/main.js`, import.meta.url));
  const { code, output } = await new Promise<{ code: unknown; output: string }>((resolve) => {
    execFile(process.execPath, [entry], { env: { ...process.env, [name]: value } }, (error, stdout, stderr) =>
      resolve({ code: error?.code, output: stdout + stderr }),
    );
  });
  expect(code).toBe(1);
  expect(output).toContain(`${name}=`);
  expect(output).toContain(value);
});
