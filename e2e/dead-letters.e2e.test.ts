import { TOPICS } from '@restante/shared/contract/events';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import { restante, rowsOf } from './support/restante.ts';
import { type Stack, startStack } from './support/stack.ts';

/**
 * What was put aside is listed, read, redriven and discarded by the cli, on record; what is redriven counts once, and is
 * open no more.
 */
let stack: Stack;
let producer: BatchingProducer;

beforeAll(async () => {
  stack = await startStack({ env: { OPERATOR_SHOWS_BODIES: 'true' } });
  const logger = pino({ level: 'silent' });
  const brokers = [stack.run.engines.find(({ name }) => name === 'kafka')!.url];
  const topics = [TOPICS.incoming, TOPICS.deadLetters];
  producer = new BatchingProducer({
    kafka: createKafka({ brokers, clientId: 'dead-letters', logger }),
    logger,
    topics,
  });
  await producer.start();
});
afterAll(async () => {
  await producer?.stop(0);
  await stack?.stop();
});

type Shown = { id: number; source: string; reason: string; user?: string; device?: string; outcome?: string };
async function deadLetters(...args: string[]): Promise<{ code: number; rows: Shown[]; note: string }> {
  const { code, out, note } = await restante(stack, ['dead-letters', ...args]);
  return { code, rows: rowsOf<Shown>(out), note };
}

type Line = { t: string; by: string; letter: number; source: string };
/** The newest lines of the audit log, newest first. */
async function audit(most: number): Promise<Line[]> {
  const { code, out } = await restante(stack, ['audit', '--limit', String(most)]);
  expect(code).toBe(0);
  return rowsOf<Line>(out);
}

const account = async (user: string, device = 'phone') => ({
  url: stack.gatewayUrls[0]!,
  user,
  device,
  token: await stack.token(user),
});

/** The open letters, once there are as many as `wanted`. */
async function open(wanted: number): Promise<Shown[]> {
  return vi.waitFor(
    async () => {
      const { code, rows } = await deadLetters('list');
      expect([code, rows.length]).toEqual([0, wanted]);
      return rows;
    },
    { timeout: 60_000, interval: 100 },
  );
}

test('an undecodable record is shown byte for byte; redriven, it comes back as what it still is', async () => {
  const bytes = Buffer.from([0xff, 0x00, 0x1b, 0x5b, 0x80]);
  await producer.send(TOPICS.incoming, 0, 'dm:a:b', bytes);
  const [letter] = await open(1);
  expect(letter).toMatchObject({ source: `${TOPICS.incoming}/0/0`, reason: expect.stringContaining('not JSON') });
  const { id, source } = letter!;
  const about = await deadLetters('show', String(id));
  expect(about).toMatchObject({ code: 0, rows: [{ key: 'dm:a:b', bytes: bytes.length }] });
  expect(about.rows[0]).not.toHaveProperty('valueBase64');
  expect(await audit(1)).toEqual([]);
  const shown = await deadLetters('show', String(id), '--bodies');
  expect(shown).toMatchObject({ code: 0, rows: [{ key: 'dm:a:b', valueBase64: bytes.toString('base64') }] });

  expect(await deadLetters('redrive', String(id))).toMatchObject({ code: 0, rows: [{ outcome: 'redriven' }] });
  const by = expect.stringContaining('@');
  const lines = ['redrive', 'read_letter'].map((t) => ({ t, by, at: expect.any(Number), letter: id, source }));
  expect(await audit(10)).toEqual(lines);
  // Nothing was mended: it is a letter again, of another record.
  const [again] = await open(1);
  expect(again).toMatchObject({ source: `${TOPICS.incoming}/0/1` });
  const twice = await deadLetters('redrive', String(letter!.id), '999');
  expect(twice.code).toBe(1);
  expect(twice.rows.map(({ outcome }) => outcome)).toEqual([
    expect.stringContaining('was redriven at'),
    'there is no dead letter 999',
  ]);
  // What was refused was not ordered.
  expect(await audit(10)).toEqual(lines);
  const all = await deadLetters('list', '--all', '--limit', '1');
  expect(all.rows.map(({ id }) => id)).toEqual([letter!.id]);
  expect(all.note).toContain(`--after ${letter!.id}`);
  expect((await deadLetters('list', '--after', String(again!.id))).rows).toEqual([]);
  expect((await deadLetters('redrive')).code).toBe(2);
});

test('a record that can be read by now is delivered once, also where the redrive died before it had marked the letter', async () => {
  const [before] = await open(1);
  const command = {
    t: 'send',
    from: 'alice',
    conversation: 'dm:alice:bob',
    id: 'mended-1',
    body: 'at last',
    at: Date.now(),
  };
  const value = JSON.stringify(command);
  const partition = producer.partitionFor(TOPICS.incoming, command.conversation);
  const letter = {
    source: `${TOPICS.incoming}/${partition}/99`,
    reason: 'an older version could not read it',
    at: Date.now(),
    ...{ topic: TOPICS.incoming, partition, offset: '99', key: command.conversation },
    valueBase64: Buffer.from(value).toString('base64'),
  };
  // A batch that was handled twice has written it twice.
  for (let i = 0; i < 2; i++) await producer.send(TOPICS.deadLetters, 0, letter.source, JSON.stringify(letter));
  // As a redrive does that dies before its mark.
  await producer.send(TOPICS.incoming, partition, command.conversation, value);
  const [, listed] = await open(2);
  expect(listed).toMatchObject({ source: letter.source });
  expect(await deadLetters('redrive', String(listed!.id))).toMatchObject({ code: 0, rows: [{ outcome: 'redriven' }] });
  expect(await open(1)).toEqual([before]);

  const bob = await TestClient.drained(await account('bob'));
  const alice = await TestClient.drained(await account('alice'));
  alice.send({ t: 'send', id: 'after-it-1', to: 'bob', body: 'and the next' });
  await bob.until('the next', () => bob.messages.find(({ id }) => id === 'after-it-1'));
  expect(bob.messages.map(({ id }) => id)).toEqual(['mended-1', 'after-it-1']);
  await Promise.all([bob.close(), alice.close()]);
});

test('a message that one device nacked comes to it again at the end of the inbox, once, unless it was deleted', async () => {
  const [before] = await open(1);
  const carol = await TestClient.drained(await account('carol'));
  const dave = await TestClient.drained({ ...(await account('dave')), ack: 'never' });
  for (const id of ['poison-1', 'poison-2', 'healthy-3'])
    carol.send({ t: 'send', id, to: 'dave', body: `body of ${id}` });
  await dave.until('three', () => dave.messages.length === 3);
  for (const seq of [1, 2]) {
    dave.rules.skipped(dave.state.gen, seq);
    dave.send({ t: 'nack', seq, gen: dave.state.gen, reason: 'no key yet' });
  }
  dave.ack(3);
  const letters = (await open(3)).slice(1);
  expect(letters).toMatchObject([
    { user: 'dave', device: 'phone', seq: 1, reason: 'nacked: no key yet' },
    { user: 'dave', device: 'phone', seq: 2, reason: 'nacked: no key yet' },
  ]);
  const { conversation, position } = dave.messages[1]!;
  carol.send({ t: 'delete', id: 'delete-poison-2', conversation, position });
  await dave.until('the tombstone', () => dave.all('deleted').length === 1);
  dave.ack();
  await dave.close();

  const redriven = await deadLetters('redrive', '--all', '--after', String(before!.id));
  expect(redriven).toMatchObject({ code: 0, rows: [{ outcome: 'redriven' }, { outcome: 'redriven' }] });
  const ordered = (await audit(2)).map(({ t, letter }) => [t, letter]).reverse();
  expect(ordered).toEqual(letters.map(({ id }) => ['redrive', id]));
  expect(await open(1)).toEqual([before]);
  // It is another entry of the same message, which a device's own rules would take for a mistake: they begin anew.
  const back = await TestClient.open({ ...(await account('dave')), ack: 'never' });
  await back.until('the redriven message', () => back.messages.length === 1);
  carol.send({ t: 'send', id: 'healthy-4', to: 'dave', body: 'live' });
  await back.until('what follows', () => back.messages.length === 2);
  expect(back.messages.map(({ id, seq, body }) => [id, seq, body])).toEqual([
    ['poison-1', 5, 'body of poison-1'],
    ['healthy-4', 6, 'live'],
  ]);
  back.ack();
  await Promise.all([back.close(), carol.close()]);
});

test('a letter that is discarded is open no more, is not redriven after that, and who did it is on record', async () => {
  const [letter] = await open(1);
  const { id, source } = letter!;
  expect(await deadLetters('discard', '--all')).toMatchObject({ code: 0, rows: [{ id, outcome: 'discarded' }] });
  expect(await audit(1)).toMatchObject([{ t: 'discard', letter: id, source }]);
  await open(0);
  const after = await deadLetters('redrive', String(id));
  expect(after).toMatchObject({ code: 1, rows: [{ outcome: expect.stringContaining('was discarded at') }] });
  expect(await audit(1)).toMatchObject([{ t: 'discard', letter: id }]);
});

test('where no operator answers, the error says what to set', async () => {
  const ask = (set: Record<string, string>) =>
    restante(stack, ['dead-letters', 'redrive', '1'], { DATA_DIR: '/nowhere', ...set });
  const settings = expect.stringMatching(/RESTANTE_OPERATOR and ADMIN_TOKEN/);
  expect(await ask({})).toMatchObject({ code: 1, note: settings });
  const { adminUrl } = stack.run.services.find(({ name }) => name.startsWith('notification'))!;
  const wrong = await ask({ RESTANTE_OPERATOR: adminUrl, ADMIN_TOKEN: 'wrong' });
  expect(wrong).toMatchObject({ code: 1, note: expect.stringContaining('set ADMIN_TOKEN') });
});
