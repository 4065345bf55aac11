import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { emptyRedis } from './support/redis-of.ts';
import { restante } from './support/restante.ts';
import { type Stack, startStack } from './support/stack.ts';

/** How far a message has got, for its sender, for an operator, and for the phone that is woken by it. */
const WAIT = { timeout: 30_000, interval: 20 };
let stack: Stack;
type Webhook = { type: string; data: Record<string, unknown> };
/** What the server of webhooks was told; the first of each it does not take. */
const webhooks: Webhook[] = [];
const refused = new Set<unknown>();
const hooks = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', () => {
    const id = request.headers['webhook-id'];
    if (refused.has(id)) webhooks.push(JSON.parse(body));
    response.writeHead(refused.has(id) ? 204 : 500).end();
    refused.add(id);
  });
});
beforeAll(async () => {
  await new Promise<void>((resolve) => hooks.listen(0, '127.0.0.1', resolve));
  const WEBHOOK_URL = `http://127.0.0.1:${(hooks.address() as AddressInfo).port}/`;
  const env = { REDELIVER_AFTER_MS: '300', PUSH_REPEAT_MS: '600000', WEBHOOK_RETRY_MS: '20', WEBHOOK_SECRET: 'shared' };
  // The reconciler would find by itself whom the due queue has forgotten.
  stack = await startStack({ env: { ...env, WEBHOOK_URL, RECONCILE_EACH_SECONDS: '0' } });
});
afterAll(async () => {
  await stack?.stop();
  hooks.closeAllConnections();
  hooks.close();
});

const connect = async (user: string, device = 'phone', ack: 'each' | 'never' = 'each') =>
  TestClient.drained({ url: stack.gatewayUrls[0]!, user, device, token: await stack.token(user), ack });
const ask = async (user: string, path: string, body?: unknown) =>
  call(stack.gatewayUrls[1]!, path, { token: await stack.token(user), ...(body === undefined ? {} : { body }) });
const send = async (from: string, fields: Record<string, unknown>) => {
  expect(await ask(from, '/v1/messages', { body: `secret of ${fields.id}`, ...fields })).toMatchObject({ status: 202 });
};

/** Once there: pushes go to devices that are known. */
const makeDevice = async (...users: string[]) => {
  for (const user of users) await (await connect(user)).close();
};

type State = { state: string; recipients: { user: string; state: string; reason?: string; at?: number }[] };
/** Waits until the message is in these states, by recipient. */
const untilStates = (id: string, from: string, states: Record<string, string>) =>
  vi.waitFor(async () => {
    const { json } = await ask(from, `/v1/messages/${id}`);
    const { recipients = [] } = json as State;
    const shown = recipients.map(({ user, state, reason }) => [
      user,
      reason === undefined ? state : `${state} ${reason}`,
    ]);
    expect(Object.fromEntries(shown)).toEqual(states);
    return json as State;
  }, WAIT);

type PushLine = { at: number; user: string; device: string; platform: string; urgent: boolean; pending: number };
const pushes = (user: string): PushLine[] => {
  const file = join(stack.dir, 'pushes.jsonl');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as PushLine).filter((push) => push.user === user);
};
const untilPushed = (user: string) => vi.waitFor(() => expect(pushes(user)).not.toEqual([]), WAIT);

const trace = (...args: string[]) => restante(stack, ['trace', ...args]);

test('a message goes from notified over delivered to read, the sender hears of it live and on return, and a trace has it all', async () => {
  const alice = await connect('alice');
  await makeDevice('bob');
  await send('alice', { id: 'to-bob-1', to: 'bob' });
  await untilPushed('bob');
  await untilStates('to-bob-1', 'alice', { bob: 'notified' });

  const bob = await connect('bob');
  const delivered = await alice.until('delivered', () =>
    alice.all('receipt').find((one) => one.delivered !== undefined),
  );
  expect(delivered).toMatchObject({ conversation: 'dm:alice:bob', user: 'bob' });
  await untilStates('to-bob-1', 'alice', { bob: 'delivered' });
  await alice.close();
  const [message] = bob.messages;
  bob.send({ t: 'read', conversation: 'dm:alice:bob', position: message!.position });
  await untilStates('to-bob-1', 'alice', { bob: 'read' });
  // On return.
  const { position } = message!;
  const receipts = (await ask('alice', '/v1/conversations/dm:alice:bob/receipts')).json.receipts;
  expect(receipts).toContainEqual({ user: 'bob', delivered: position, read: position });

  const traced = await trace('to-bob-1');
  expect(traced.code, traced.note).toBe(0);
  const { accepted, stored, recipients } = JSON.parse(traced.out);
  expect(recipients).toEqual([
    {
      user: 'bob',
      state: 'read',
      inboxed: 'not kept',
      pushed: expect.any(Number),
      delivered: expect.any(Number),
      read: expect.any(Number),
    },
  ]);
  const [{ pushed, delivered: deliveredAt, read }] = recipients;
  const times = [accepted, stored, pushed, deliveredAt, read];
  expect(times).toEqual([...times].sort((a, b) => a - b));
  await bob.close();
});

test('a trace says when an entry that still waits was put into the inbox, whose it is where two have one id, and what is not there', async () => {
  await send('carl', { id: 'same-id-1', to: 'dora' });
  await send('dora', { id: 'same-id-1', to: 'carl' });
  await untilStates('same-id-1', 'carl', { dora: expect.stringMatching(/pending|notified/) as unknown as string });
  await untilStates('same-id-1', 'dora', { carl: expect.stringMatching(/pending|notified/) as unknown as string });
  const [both, one, none, wrong] = await Promise.all([
    trace('same-id-1'),
    trace('same-id-1', '--from', 'carl'),
    trace('never-sent'),
    trace('short'),
  ]);
  expect(both).toMatchObject({ code: 1, out: '', note: expect.stringContaining('--from') });
  const traced = JSON.parse(one!.out);
  expect(traced).toMatchObject({ from: 'carl', conversation: 'dm:carl:dora', recipients: [{ user: 'dora' }] });
  expect(traced.recipients[0].inboxed).toBeGreaterThanOrEqual(traced.accepted);
  expect(none).toMatchObject({ code: 1, out: '', note: expect.stringContaining('never-sent') });
  expect(wrong).toMatchObject({ code: 2, out: '' });
});

test('in a group each recipient has a state of their own; what failed says why', async () => {
  const made = await ask('gwen', '/v1/conversations', { id: 'trio', members: ['hans', 'ines', 'jens'] });
  expect(made.status).toBe(201);
  const conversation = 'grp:trio';
  const hans = await connect('hans');
  const ines = await connect('ines', 'phone', 'never');
  await send('gwen', { id: 'to-trio-1', conversation });
  const entry = await ines.until('the message', () => ines.messages.find(({ id }) => id === 'to-trio-1'));
  ines.send({ t: 'nack', seq: entry.seq, gen: entry.gen, reason: 'can not be shown' });
  await untilStates('to-trio-1', 'gwen', { hans: 'delivered', ines: 'failed dead-lettered', jens: 'pending' });

  // Long enough for an ack to count, which takes a second or two.
  await send('gwen', { id: 'short-lived', conversation, ttlSeconds: 5 });
  await untilStates('short-lived', 'gwen', {
    hans: 'delivered',
    ines: 'failed expired',
    jens: 'failed expired',
  });
  // Whoever comes later sees that something was there.
  const jens = await connect('jens');
  expect(jens.messages.map(({ id }) => id)).toEqual(['to-trio-1']);
  expect(jens.first('gap')).toMatchObject({ reason: 'expired', count: 1, conversations: [conversation] });
  await Promise.all([hans, ines, jens].map((client) => client.close()));
});

test('a burst wakes each device once, says nothing of what was said, and who acks in time is not woken', async () => {
  const awake = await connect('kurt');
  const token = { push: { platform: 'fcm', token: 'token-of-lisa' } };
  await makeDevice('lisa', 'nora');
  await call(stack.gatewayUrls[0]!, '/v1/devices/phone', {
    method: 'PUT',
    token: await stack.token('lisa'),
    body: token,
  });
  for (let i = 0; i < 20; i++) {
    await send('mike', { id: `burst-lisa-${i}`, to: 'lisa' });
    await send('mike', { id: `burst-kurt-${i}`, to: 'kurt' });
  }
  await awake.until('all of them', () => awake.messages.length === 20);
  await untilPushed('lisa');
  // Pushed after all of that: whoever was to be woken by it has been.
  await send('mike', { id: 'control-nora', to: 'nora' });
  await untilPushed('nora');
  expect(pushes('lisa')).toMatchObject([{ device: 'phone', platform: 'fcm', urgent: true }]);
  expect(pushes('kurt')).toEqual([]);
  expect(readFileSync(join(stack.dir, 'pushes.jsonl'), 'utf8')).not.toMatch(/secret|mike/);

  const wakes = async () => metric('restante_notification_wakes_total');
  const before = await wakes();
  await (await connect('lisa')).close();
  await vi.waitFor(async () => expect(await wakes()).toBe(before + 1), WAIT);
  await awake.close();
});

test('what is not urgent wakes nobody yet', async () => {
  await makeDevice('olaf', 'pete');
  await send('mike', { id: 'can-wait-1', to: 'olaf', urgent: false });
  await untilStates('can-wait-1', 'mike', { olaf: 'pending' });
  await send('mike', { id: 'control-pete', to: 'pete' });
  await untilPushed('pete');
  expect(pushes('olaf')).toEqual([]);
});

test('webhooks tell of what was got, read and dead-lettered, though each was refused once', async () => {
  const rosa = await connect('rosa');
  const sven = await connect('sven', 'phone', 'never');
  await send('rosa', { id: 'to-sven-1', to: 'sven' });
  await send('rosa', { id: 'to-sven-2', to: 'sven' });
  const second = await sven.until('both', () => sven.messages[1]);
  sven.send({ t: 'nack', seq: second.seq, gen: second.gen, reason: 'can not be shown' });
  sven.ack(1);
  const { position } = sven.messages[0]!;
  sven.send({ t: 'read', conversation: 'dm:rosa:sven', position });
  const of = (user: string, type: string) => webhooks.filter((one) => one.type === type && one.data.user === user);
  await vi.waitFor(() => {
    expect(of('sven', 'receipt.read').at(-1)?.data).toMatchObject({ conversation: 'dm:rosa:sven', position });
    expect(of('sven', 'receipt.delivered').length).toBeGreaterThan(0);
    expect(of('sven', 'dead_letter').at(-1)?.data).toMatchObject({ device: 'phone', seq: second.seq });
  }, WAIT);
  expect(JSON.stringify(webhooks)).not.toContain('secret of');
  await Promise.all([rosa.close(), sven.close()]);
});

test('who is away when Redis loses everything is woken again, though nobody sends to them or comes, and has the message once', async () => {
  await makeDevice('tina');
  await send('mike', { id: 'to-tina-1', to: 'tina' });
  await untilStates('to-tina-1', 'mike', { tina: 'notified' });
  const before = pushes('tina');
  await emptyRedis(stack);
  await vi.waitFor(() => expect(pushes('tina')).toHaveLength(before.length + 1), WAIT);
  expect(pushes('tina').at(-1)).toMatchObject({ device: 'phone', pending: 1 });
  const tina = await connect('tina');
  await send('mike', { id: 'to-tina-2', to: 'tina' });
  await tina.until('the next', () => tina.messages.some(({ id }) => id === 'to-tina-2'));
  expect(tina.messages.map(({ id }) => id)).toEqual(['to-tina-1', 'to-tina-2']);
  await tina.close();
});

async function metric(name: string): Promise<number> {
  const { services } = stack.run;
  const { adminUrl } = services.find((service) => service.name === 'notification-1')!;
  const { text } = await call(adminUrl, '/metrics');
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
}
