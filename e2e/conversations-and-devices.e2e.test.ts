import { createDynamo } from '@restante/shared/runtime/dynamo';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { RefusedError, TestClient } from './support/client.ts';
import { readHistory } from './support/history-table.ts';
import { call, type HttpReply } from './support/http.ts';
import { type Stack, startStack } from './support/stack.ts';

/** Who belongs to what, and which of their devices gets what (PROTOCOL.md), with everybody on another gateway. */
let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ env: { PRESENCE_OFFLINE_AFTER_MS: '300' } });
});
afterAll(() => stack?.stop());

let turn = 0;
const connect = async (user: string, device = 'phone') =>
  TestClient.drained({
    url: stack.gatewayUrls[turn++ % stack.gatewayUrls.length]!,
    user,
    device,
    token: await stack.token(user),
  });
const ask = async (user: string, path: string, options: { method?: string; body?: unknown } = {}): Promise<HttpReply> =>
  call(stack.gatewayUrls[0]!, path, { token: await stack.token(user), ...options });
const group = async (owner: string, id: string, members: string[]): Promise<string> => {
  const made = await ask(owner, '/v1/conversations', { body: { id, members, title: `about ${id}` } });
  expect(made).toMatchObject({ status: 201, json: { id: `grp:${id}`, title: `about ${id}` } });
  return `grp:${id}`;
};
/** Sends, and waits until it is stored. @returns its position */
const say = async (client: TestClient, fields: Record<string, unknown>): Promise<number> => {
  client.send({ t: 'send', body: `body of ${fields.id}`, ...fields });
  const stored = await client.until(`${fields.id} stored`, () =>
    client.all('stored').find(({ id }) => id === fields.id),
  );
  return stored.position as number;
};
const ids = (client: TestClient) => client.messages.map(({ id }) => id);
const gets = (client: TestClient, id: string) => client.until(id, () => client.messages.find((one) => one.id === id));

test('a direct conversation is there from its first message on, with what is unread and how far it goes', async () => {
  const alice = await connect('alice');
  expect(await ask('bob', '/v1/conversations/dm:alice:bob')).toMatchObject({ status: 404 });
  await say(alice, { id: 'first-one', to: 'bob' });
  const last = await say(alice, { id: 'second-one', to: 'bob' });
  const listed = async () => (await ask('bob', '/v1/conversations')).json.conversations;
  expect(await listed()).toEqual([
    { id: 'dm:alice:bob', lastPosition: last, read: 0, unread: 2, updatedAt: expect.any(Number) },
  ]);
  const bob = await connect('bob');
  await gets(bob, 'second-one');
  bob.send({ t: 'read', conversation: 'dm:alice:bob', position: last });
  await vi.waitFor(async () => expect(await listed()).toMatchObject([{ read: last, unread: 0 }]), { timeout: 30_000 });
  await Promise.all([alice.close(), bob.close()]);
});

test('a group: who is added gets what comes after, who is removed what came before; each message is stored once', async () => {
  const conversation = await group('olga', 'choir', ['paul', 'quin']);
  const olga = await connect('olga');
  const paul = await connect('paul');
  const quin = await connect('quin');
  await say(olga, { id: 'before-rosa', conversation });
  const path = `/v1/conversations/${conversation}/members`;
  expect(await ask('paul', path, { body: { add: ['rosa'] } })).toMatchObject({
    status: 403,
    json: { code: 'not_yours' },
  });
  expect(await ask('olga', path, { body: { add: ['rosa'], remove: ['quin'] } })).toMatchObject({ status: 202 });
  const changed = await paul.until('the change', () =>
    paul.all('members').find(({ removed }) => removed !== undefined),
  );
  expect(changed).toMatchObject({ conversation, added: ['rosa'], removed: ['quin'], by: 'olga' });
  await say(olga, { id: 'after-rosa', conversation });
  const rosa = await connect('rosa');
  await gets(rosa, 'after-rosa');
  await gets(paul, 'after-rosa');
  expect(ids(rosa)).toEqual(['after-rosa']);
  expect(ids(paul)).toEqual(['before-rosa', 'after-rosa']);
  expect(ids(quin)).toEqual(['before-rosa']);

  const shown = async (user: string) =>
    ((await ask(user, `/v1/conversations/${conversation}/messages`)).json.messages as { id: string }[]).map(
      ({ id }) => id,
    );
  expect(await shown('rosa')).toEqual(['after-rosa']);
  expect(await shown('quin')).toEqual(['before-rosa']);
  quin.send({ t: 'send', id: 'no-longer', conversation, body: 'x' });
  const refused = await quin.until('the refusal', () => quin.all('rejected').find(({ id }) => id === 'no-longer'));
  expect(refused).toMatchObject({ code: 'not_a_member', retryable: false });
  expect(await ask('quin', path.replace('/members', ''))).toMatchObject({ status: 403 });
  const members = (await ask('rosa', path.replace('/members', ''))).json.members as { user: string; role: string }[];
  expect(members.map(({ user, role }) => [user, role]).sort()).toEqual([
    ['olga', 'owner'],
    ['paul', 'member'],
    ['rosa', 'member'],
  ]);

  const dynamodb = stack.run.engines.find(({ name }) => name === 'dynamodb')!;
  const rows = await readHistory(createDynamo({ endpoint: dynamodb.url, region: 'us-east-1' }));
  expect(rows.filter(({ id }) => id === 'after-rosa')).toHaveLength(1);
  await Promise.all([olga, paul, quin, rosa].map((client) => client.close()));
});

test('devices: each has its own cursor, the sender’s others get a copy, the newest connection wins, one can be forgotten', async () => {
  const phone = await connect('ella', 'phone');
  const tablet = await connect('ella', 'tablet');
  const fred = await connect('fred', 'phone');
  await say(phone, { id: 'from-phone', to: 'fred' });
  for (const device of [phone, tablet]) expect(await gets(device, 'from-phone')).toMatchObject({ self: true });
  expect(await gets(fred, 'from-phone')).not.toHaveProperty('self');
  await tablet.close();
  await say(fred, { id: 'to-ella-1', to: 'ella' });
  await gets(phone, 'to-ella-1');
  const back = await connect('ella', 'tablet');
  expect(ids(back)).toEqual(['to-ella-1']);

  const newer = await connect('ella', 'phone');
  expect(await phone.untilClosed()).toMatchObject({ code: 4003 });
  const late = await connect('ella', 'watch');
  expect(late.entries).toEqual([]);
  await say(fred, { id: 'to-ella-2', to: 'ella' });
  for (const device of [newer, back, late]) await gets(device, 'to-ella-2');

  expect(await ask('ella', '/v1/devices/watch', { method: 'DELETE' })).toMatchObject({ status: 204 });
  await late.untilClosed();
  const again = await connect('ella', 'watch');
  expect(again.entries).toEqual([]);
  await Promise.all([fred, newer, back, again].map((client) => client.close()));
});

test('a deletion reaches every device, offline ones too; only one’s own can be deleted', async () => {
  const gina = await connect('gina');
  const hugo = await connect('hugo', 'phone');
  const away = await connect('hugo', 'tablet');
  await away.close();
  const position = await say(gina, { id: 'regretted', to: 'hugo', body: 'a secret' });
  await gets(hugo, 'regretted');
  const conversation = 'dm:gina:hugo';
  hugo.send({ t: 'delete', id: 'not-mine-1', conversation, position });
  const refused = await hugo.until('the refusal', () => hugo.all('rejected').find(({ id }) => id === 'not-mine-1'));
  expect(refused).toMatchObject({ code: 'not_yours' });
  gina.send({ t: 'delete', id: 'deletion-1', conversation, position });
  const tombstone = { conversation, position, by: 'gina', at: expect.any(Number) };
  expect(await hugo.until('the tombstone', () => hugo.first('deleted'))).toMatchObject(tombstone);
  const back = await connect('hugo', 'tablet');
  expect(back.first('deleted')).toMatchObject(tombstone);
  const history = await ask('hugo', `/v1/conversations/${conversation}/messages`);
  expect(history.json.messages).toEqual([{ t: 'deleted', ...tombstone }]);
  expect(history.text).not.toContain('a secret');
  await Promise.all([gina, hugo, back].map((client) => client.close()));
});

test('what the sender sets comes with the message: kind, reply, attachments, urgency', async () => {
  const iris = await connect('iris');
  const jack = await connect('jack');
  await say(iris, { id: 'question-1', to: 'jack' });
  const set = {
    kind: 'image',
    replyTo: 'question-1',
    urgent: false,
    attachments: [{ url: 'https://files.example/cat.png', contentType: 'image/png', bytes: 12_345, name: 'cat.png' }],
  };
  await say(iris, { id: 'answer-1', to: 'jack', ...set });
  expect(await gets(jack, 'answer-1')).toMatchObject(set);
  expect((await ask('jack', '/v1/conversations/dm:iris:jack/messages?limit=1')).json.messages).toMatchObject([set]);
  await Promise.all([iris.close(), jack.close()]);
});

test('typing and presence go to who shares a conversation, and offline is said after a pause', async () => {
  const kate = await connect('kate');
  const leon = await connect('leon');
  const mara = await connect('mara');
  await say(kate, { id: 'hello-leon', to: 'leon' });
  for (const watcher of [kate, mara]) watcher.send({ t: 'watch', users: ['leon'] });
  await kate.until('online', () => kate.all('presence').find(({ user, online }) => user === 'leon' && online === true));
  leon.send({ t: 'typing', conversation: 'dm:kate:leon', on: true });
  expect(await kate.until('typing', () => kate.first('typing'))).toMatchObject({ user: 'leon', on: true });

  // Gone for less than the pause: nobody hears of it. What comes after a real leave shows that nothing came between.
  await leon.close();
  const back = await connect('leon');
  await back.close();
  const offline = await kate.until('offline', () => kate.all('presence').find(({ online }) => online === false));
  expect(offline).toMatchObject({ user: 'leon', lastSeen: expect.any(Number) });
  expect(kate.all('presence').filter(({ online }) => online === false)).toHaveLength(1);
  expect(mara.all('presence')).toEqual([]);
  expect(mara.all('typing')).toEqual([]);
  await Promise.all([kate.close(), mara.close()]);
});

test('a user’s conversations with nobody else’s: strangers are told nothing', async () => {
  const conversation = await group('nina', 'club', ['otto']);
  for (const path of ['', '/messages', '/receipts'])
    expect(await ask('eve', `/v1/conversations/${conversation}${path}`)).toMatchObject({ status: 403 });
  expect(await ask('eve', '/v1/conversations', { body: { id: 'club', members: [] } })).toMatchObject({
    status: 409,
    json: { code: 'duplicate_conflict' },
  });
  const refused = await TestClient.open({
    url: stack.gatewayUrls[0]!,
    user: 'eve',
    device: 'phone',
    token: await stack.token('nina', { dev: 'tablet' }),
  }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RefusedError);
  expect(refused).toMatchObject({ status: 401 });
});
