import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { startS3 } from '@restante/localstack/sns-engine';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { RefusedError, TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { redisOf } from './support/redis-of.ts';
import { type Stack, startStack } from './support/stack.ts';

/** What one user or device may take, each refused as PROTOCOL.md says, and nobody else is held up by it. */
/** LocalStack asks no more of a call than which service it is for. */
const S3_CALL = 'AWS4-HMAC-SHA256 Credential=test/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0';
const WAIT = { timeout: 30_000, interval: 50 };
let stack: Stack;
const s3Dir = mkdtempSync(join(tmpdir(), 'restante-s3-'));
let s3: Engine;
beforeAll(async () => {
  s3 = await startS3({ dataDir: s3Dir });
  const made = await fetch(`${s3.url}/files`, { method: 'PUT', headers: { authorization: S3_CALL } });
  expect(made.status).toBe(200);
  stack = await startStack({
    gateways: 1,
    env: {
      RATE_SEND_PER_SECOND: '1',
      RATE_SEND_BURST: '5',
      RATE_CONNECT_PER_MINUTE: '6',
      CONNECTIONS_PER_USER: '3',
      CONVERSATIONS_PER_USER: '2',
      DEVICES_PER_USER: '4',
      DEVICE_RETENTION_SECONDS: '3',
      ATTACHMENT_BUCKET: 'files',
      ATTACHMENT_MAX_BYTES: '1000',
      RATE_ATTACHMENTS_PER_MINUTE: '2',
      S3_ENDPOINT: s3.url,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    },
  });
});
afterAll(async () => {
  await stack?.stop();
  await s3?.kill();
  rmSync(s3Dir, { recursive: true, force: true });
});

const account = async (user: string, device: string) => ({
  url: stack.gatewayUrls[0]!,
  user,
  device,
  token: await stack.token(user),
});
const refused = async (user: string, device: string): Promise<RefusedError> => {
  const opened = await TestClient.open(await account(user, device)).catch((error: unknown) => error);
  if (!(opened instanceof RefusedError)) throw new Error(`not refused: ${String(opened)}`);
  return opened;
};
const ask = async (user: string, path: string, body?: unknown) =>
  call(stack.gatewayUrls[0]!, path, { token: await stack.token(user), ...(body === undefined ? {} : { body }) });
const retryAfter = (headers: Record<string, string | string[] | undefined>) => Number(headers['retry-after']);

test('sends of a user: rate_limited beyond a burst, on the socket and by HTTP alike, with when to come again', async () => {
  const alice = await TestClient.drained(await account('alice', 'phone'));
  for (let i = 0; i < 8; i++) alice.send({ t: 'send', id: `burst-${i}-0000`, to: 'bob', body: 'x' });
  const rejected = await alice.until('a refusal', () => alice.first('rejected'));
  expect(rejected).toMatchObject({ code: 'rate_limited', retryable: true, retryAfterMs: expect.any(Number) });
  const reply = await ask('alice', '/v1/messages', { id: 'by-http-1', to: 'bob', body: 'x' });
  expect(reply).toMatchObject({ status: 429, json: { code: 'rate_limited' } });
  expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
  // It is the user who is limited.
  expect(await ask('bob', '/v1/messages', { id: 'by-bob-01', to: 'alice', body: 'x' })).toMatchObject({ status: 202 });
  await alice.close();
});

test('handshakes of a device: 429 beyond so many, and another device of the user is let in', async () => {
  let turnedAway: RefusedError | undefined;
  for (let i = 0; i < 10 && !turnedAway; i++) {
    const opened = await TestClient.open(await account('carl', 'phone')).catch((error: unknown) => error);
    if (opened instanceof TestClient) await opened.close();
    else turnedAway = opened as RefusedError;
  }
  expect(turnedAway).toMatchObject({ status: 429, body: expect.stringContaining('"rate_limited"') });
  expect(retryAfter(turnedAway!.headers)).toBeGreaterThan(0);
  await (await TestClient.open(await account('carl', 'tablet'))).close();
});

test('connections of a user: 429 beyond so many, until one of them ends', async () => {
  const open = await Promise.all(
    ['a', 'b', 'c'].map(async (device) => TestClient.drained(await account('dora', device))),
  );
  const one = await refused('dora', 'd');
  expect(one).toMatchObject({ status: 429, body: expect.stringContaining('"rate_limited"') });
  expect(retryAfter(one.headers)).toBeGreaterThan(0);
  await open[0]!.close();
  const next = await vi.waitFor(async () => TestClient.open(await account('dora', 'e')), WAIT);
  await Promise.all([next, ...open.slice(1)].map((client) => client.close()));
});

test('conversations of a user: no more groups beyond so many, until one is left', async () => {
  const make = (id: string) => ask('ella', '/v1/conversations', { id, members: ['fred'] });
  expect(await make('first')).toMatchObject({ status: 201 });
  expect(await make('second')).toMatchObject({ status: 201 });
  const third = await make('third');
  expect(third).toMatchObject({ status: 429, json: { code: 'rate_limited' } });
  expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await ask('ella', '/v1/conversations/grp:first/members', { remove: ['ella'] })).toMatchObject({ status: 202 });
  await vi.waitFor(async () => expect(await make('third')).toMatchObject({ status: 201 }), {
    ...WAIT,
    interval: 1_000,
  });
});

test('attachments of a message: ten, each named by what it is', async () => {
  const attachment = { url: 'https://files.example/a', contentType: 'image/png', bytes: 1 };
  const send = (attachments: unknown[]) =>
    ask('gina', '/v1/messages', { id: `with-${attachments.length}-files`, to: 'hugo', body: '', attachments });
  expect(await send(Array(10).fill(attachment))).toMatchObject({ status: 202 });
  expect(await send(Array(11).fill(attachment))).toMatchObject({ status: 400, json: { code: 'bad_field' } });
  expect(await send([{ ...attachment, bytes: -1 }])).toMatchObject({
    status: 400,
    json: { code: 'bad_field', detail: expect.stringContaining('attachments.0.bytes') },
  });
});

test('a file is put where the gateway signs for, and reaches the recipient by its address; how large and how often has bounds', async () => {
  const image = { contentType: 'image/png', bytes: 5 };
  expect(await ask('kate', '/v1/attachments', { ...image, bytes: 1_001 })).toMatchObject({ status: 413 });
  expect(await ask('kate', '/v1/attachments', { ...image, contentType: 'text/html' })).toMatchObject({ status: 400 });
  const signed = await ask('kate', '/v1/attachments', image);
  expect(signed).toMatchObject({ status: 201, json: { expiresAt: expect.any(Number) } });
  const { url, upload } = signed.json as { url: string; upload: { url: string; headers: Record<string, string> } };
  const put = await fetch(upload.url, {
    method: 'PUT',
    body: new TextEncoder().encode('cat!!'),
    headers: upload.headers,
  });
  expect(put.status).toBe(200);
  const leon = await TestClient.drained(await account('leon', 'phone'));
  const attachments = [{ ...image, url }];
  await ask('kate', '/v1/messages', { id: 'see-this-1', to: 'leon', body: '', attachments });
  const [message] = await leon.until('the message', () => leon.messages.length > 0 && leon.messages);
  expect(message).toMatchObject({ attachments });
  expect(await (await fetch(url, { headers: { authorization: S3_CALL } })).text()).toBe('cat!!');
  await ask('kate', '/v1/attachments', image);
  const limited = await ask('kate', '/v1/attachments', image);
  expect(limited).toMatchObject({ status: 429, json: { code: 'rate_limited' } });
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
  await leon.close();
});

test('a device that is not seen any more does not hold the inbox of the others', async () => {
  const redis = redisOf(stack);
  const held = () => redis.llen('inbox:{jack}');
  await (await TestClient.drained(await account('jack', 'lost'))).close();
  const used = await TestClient.drained(await account('jack', 'used'));
  let sent = 0;
  const send = async () => {
    const body = { id: `to-jack-${sent++}-00`, to: 'jack', body: 'x' };
    // The rate is low here: as often as it lets one through.
    await vi.waitFor(async () => expect(await ask('iris', '/v1/messages', body)).toMatchObject({ status: 202 }), WAIT);
    await used.until('it', () => used.messages.length === sent);
  };
  await send();
  // Acknowledged by the one, kept for the other.
  expect(await held()).toBe(1);
  // Each message is a touch, upon which what nobody waits for any more is let go.
  const letGo = async () => {
    await send();
    expect(await held()).toBeLessThan(sent);
  };
  await vi.waitFor(letGo, { ...WAIT, interval: 1 });
  await used.close();
  redis.disconnect();
});
