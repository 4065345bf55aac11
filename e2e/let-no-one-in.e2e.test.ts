import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { connectUrl, TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { metricsText } from './support/metrics.ts';
import { type Stack, startStack } from './support/stack.ts';

/** Issue 9, "Let no one in": what SECURITY.md says that stops somebody, tried. */
const MOST = 8;
const BAD_TOKENS = 4;
const WITHIN = { timeout: 60_000, interval: 100 };
let stack: Stack;
beforeAll(async () => {
  stack = await startStack({
    gateways: 1,
    env: {
      CONNECTIONS_PER_ADDRESS: String(MOST),
      RATE_UNAUTHORIZED_PER_MINUTE: String(BAD_TOKENS),
      TRUST_FORWARDED_FOR: 'true',
      HEARTBEAT_SECONDS: '8',
    },
  });
});
afterAll(() => stack?.stop());

const url = () => stack.gatewayUrls[0]!;
const account = async (user: string, claims: Record<string, unknown> = {}) => ({
  url: url(),
  user,
  device: 'phone',
  token: await stack.token(user, claims),
});

/** A connection of its own hand: what no client library would send. */
function raw(): Promise<Socket & { text: string }> {
  const { hostname, port } = new URL(url());
  const socket = connect(Number(port), hostname) as Socket & { text: string };
  socket.text = '';
  socket.on('data', (chunk) => {
    socket.text += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  return new Promise((resolve) => socket.once('connect', () => resolve(socket)));
}
const upgrade = (device: string, more: string) =>
  `GET /v1/connect?device=${device} HTTP/1.1\r\nhost: ${new URL(url()).host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;

test('a token that expires while its connection is open ends it with 4002, whatever the client does', async () => {
  const client = await TestClient.drained(await account('ann', { exp: Math.floor(Date.now() / 1000) + 3 }));
  expect((await client.untilClosed()).code).toBe(4002);
  expect(client.first('bye')).toMatchObject({ code: 4002 });
});

test('the token of a browser is not echoed, nothing is compressed, and a token in the URL counts for nothing', async () => {
  const { token } = await account('ben');
  const socket = await raw();
  socket.write(
    upgrade(
      'phone',
      `sec-websocket-protocol: restante.v1, bearer.${token}\r\nsec-websocket-extensions: permessage-deflate\r\n`,
    ),
  );
  await vi.waitFor(() => expect(socket.text).toContain('101 Switching'), WITHIN);
  const head = socket.text.slice(0, socket.text.indexOf('\r\n\r\n')).toLowerCase();
  expect(head).toContain('sec-websocket-protocol: restante.v1\r\n');
  expect(head).not.toContain('bearer');
  expect(head).not.toContain('permessage-deflate');
  socket.destroy();
  const inUrl = await raw();
  inUrl.write(upgrade(`phone&token=${token}&access_token=${token}`, ''));
  await vi.waitFor(() => expect(inUrl.text).toContain('401'), WITHIN);
  expect(inUrl.text).not.toContain(token);
  inUrl.destroy();
});

test('who sends a request drop by drop, or says nothing, is closed; others are served meanwhile', async () => {
  const silent = await raw();
  const slow = await raw();
  slow.write('GET /v1/connect?device=phone HTTP/1.1\r\nhost: x\r\n');
  const dripping = setInterval(() => slow.write('x-drop: y\r\n'), 500);
  const closed = Promise.all([silent, slow].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  const client = await TestClient.drained(await account('cleo'));
  client.send({ t: 'ping', n: 1 });
  await client.until('pong', () => client.first('pong'));
  await closed;
  clearInterval(dripping);
  await client.close();
});

test('a socket that answers no ping is closed', async () => {
  const { token } = await account('dan');
  const dead = await raw();
  dead.write(upgrade('phone', `authorization: Bearer ${token}\r\n`));
  await vi.waitFor(() => expect(dead.text).toContain('welcome'), WITHIN);
  await new Promise((resolve) => dead.once('close', resolve));
});

test('a frame in many fragments has no more bytes than one frame; one without a mask is never taken for one', async () => {
  const { token } = await account('eli');
  const open = () =>
    new WebSocket(connectUrl(url(), 'phone'), ['restante.v1'], { headers: { authorization: `Bearer ${token}` } });
  const socket = open();
  await new Promise((resolve) => socket.once('open', resolve));
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  for (let i = 0; i < 80; i++) socket.send('x'.repeat(4_096), { fin: false });
  expect([1006, 1009]).toContain(await closed);
  const unmasked = await raw();
  unmasked.write(upgrade('phone', `authorization: Bearer ${token}\r\n`));
  await vi.waitFor(() => expect(unmasked.text).toContain('welcome'), WITHIN);
  unmasked.write(Buffer.from([0x81, 0x0c, ...Buffer.from('{"t":"ping"}')]));
  // It waits for what would be the rest of it, until its silence is too long.
  await new Promise((resolve) => unmasked.once('close', resolve));
  expect(unmasked.text).not.toContain('pong');
});

test('an address has so many connections and no more, by what the load balancer says; the client’s own word counts for nothing', async () => {
  const open: WebSocket[] = [];
  const attempt = async (i: number, forwarded: string): Promise<number> => {
    const { token } = await account(`fan-${i}`);
    const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': forwarded };
    const socket = new WebSocket(connectUrl(url(), 'phone'), ['restante.v1'], { headers });
    socket.on('error', () => undefined);
    open.push(socket);
    return new Promise((resolve) => {
      socket.once('open', () => resolve(101));
      socket.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
    });
  };
  for (let i = 0; i < MOST; i++) expect(await attempt(i, `6.6.6.${i}, 7.7.7.7`)).toBe(101);
  expect(await attempt(MOST, '1.2.3.4, 7.7.7.7')).toBe(429);
  expect(await attempt(MOST, '7.7.7.7, 8.8.8.8')).toBe(101);
  open[0]!.close();
  await vi.waitFor(async () => expect(await attempt(MOST + 1, '7.7.7.7')).toBe(101), WITHIN);
  for (const socket of open) socket.terminate();
});

test('an address with too many bad tokens is refused, good ones too, by HTTP and by WebSocket alike; another is not', async () => {
  const good = await stack.token('fay');
  const from = (address: string, token: string) =>
    call(url(), '/v1/conversations', { token, headers: { 'x-forwarded-for': `1.2.3.4, ${address}` } });
  for (let i = 0; i < BAD_TOKENS; i++) expect(await from('9.9.9.9', `${good}x`)).toMatchObject({ status: 401 });
  const refused = await from('9.9.9.9', good);
  expect(refused).toMatchObject({ status: 429, json: { code: 'rate_limited' } });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  const posted = await call(url(), '/v1/messages', {
    ...{ token: good, body: { id: 'refused-1', to: 'gil', body: 'x' } },
    headers: { 'x-forwarded-for': '9.9.9.9' },
  });
  expect(posted).toMatchObject({ status: 429 });
  const socket = await raw();
  socket.write(upgrade('phone', `authorization: Bearer ${good}\r\nx-forwarded-for: 9.9.9.9\r\n`));
  await vi.waitFor(() => expect(socket.text).toContain('429'), WITHIN);
  socket.destroy();
  expect(await from('8.8.4.4', good)).toMatchObject({ status: 200 });
  expect(await metricsText(stack.run.gateways[0]!.adminUrl)).toContain(
    'restante_gateway_limited_total{limit="RATE_UNAUTHORIZED_PER_MINUTE"} 3',
  );
});

test('nobody reads, writes, acks or watches what is not theirs', async () => {
  const [gil, hana, mallory] = await Promise.all(
    ['gil', 'hana', 'mallory'].map(async (user) => TestClient.drained(await account(user))),
  );
  gil!.send({ t: 'send', id: 'private-1', to: 'hana', body: 'for hana alone' });
  const [message] = await hana!.until('the message', () => hana!.messages.length > 0 && hana!.messages);
  const { token } = await account('mallory');
  const as = (path: string, body?: unknown) => call(url(), path, { token, ...(body === undefined ? {} : { body }) });
  const conversation = 'dm:gil:hana';
  expect((await as(`/v1/conversations/${conversation}/messages`)).status).toBe(403);
  expect((await as(`/v1/conversations/${conversation}/receipts`)).status).toBe(403);
  expect([403, 404]).toContain((await as(`/v1/conversations/${conversation}`)).status);
  expect([403, 404]).toContain((await as('/v1/messages/private-1?from=gil')).status);
  expect((await as('/v1/messages', { id: 'intruder-1', conversation, body: 'x' })).status).toBe(403);
  expect((await as('/v1/messages/sync?device=phone')).json).toMatchObject({ entries: [], tail: 0 });
  mallory!.send({ t: 'delete', id: 'delete-theirs', conversation, position: message!.position });
  mallory!.send({ t: 'ack', seq: 1, gen: hana!.state.gen });
  mallory!.send({ t: 'read', conversation, position: message!.position });
  mallory!.send({ t: 'typing', conversation, on: true });
  mallory!.send({ t: 'watch', users: ['gil', 'hana'] });
  await mallory!.until('the refusals', () => mallory!.first('rejected') && mallory!.first('error'));
  mallory!.send({ t: 'ping', n: 1 });
  await mallory!.until('pong', () => mallory!.first('pong'));
  gil!.send({ t: 'send', id: 'private-2', to: 'hana', body: 'still there' });
  await hana!.until('the next', () => hana!.messages.length === 2);
  await gil!.until('both to be in the history', () => gil!.all('stored').length === 2);
  expect(hana!.all('typing')).toEqual([]);
  expect(mallory!.all('presence')).toEqual([]);
  expect(mallory!.messages).toEqual([]);
  const { json } = await call(url(), `/v1/conversations/${conversation}/messages`, {
    token: (await account('hana')).token,
  });
  expect((json.messages as { body: string }[]).map(({ body }) => body)).toEqual(['for hana alone', 'still there']);
  for (const client of [gil, hana, mallory]) await client!.close();
});

test('hostile ids and text are refused or carried as they are, and no answer has more than it was asked', async () => {
  const { token } = await account('ivy');
  const paths = [
    '..%2f..%2fetc%2fpasswd',
    '%00',
    '%ff%fe',
    'dm:a:b%7D%7B',
    'grp:%F0%9F%92%A9',
    "grp:'%20OR%201=1",
    `grp:${'x'.repeat(500)}`,
  ];
  for (const path of paths) {
    const { status, text } = await call(url(), `/v1/conversations/${path}/messages`, { token });
    expect([400, 403, 404], path).toContain(status);
    expect(text).not.toMatch(/at .*\.[jt]s:\d+|node_modules|redis|dynamo/i);
  }
  const client = await TestClient.drained(await account('ivy'));
  const bodies = [
    '\u202Ereversed',
    '\u0000nul',
    '\uD800 alone',
    '👩‍👩‍👧‍👦',
    '</script><script>alert(1)</script>',
    '{"t":"close"}\n{"t":"close"}',
    '\r\n\r\nHTTP/1.1 200 OK',
  ];
  bodies.forEach((body, i) => {
    client.send({ t: 'send', id: `hostile-${i}`, to: 'ivy', body });
  });
  await client.until('all of them', () => client.messages.length === bodies.length);
  expect(client.messages.map(({ body }) => body)).toEqual(bodies);
  await client.close();
});
