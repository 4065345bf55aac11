import { decodeOutgoing, TOPICS } from '@restante/shared/contract/events';
import { createKafka } from '@restante/shared/kafka/client';
import { readRange } from '@restante/shared/kafka/read-range';
import { logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import { readHistory } from './support/history-table.ts';
import { call } from './support/http.ts';
import { redisOf } from './support/redis-of.ts';
import { type Stack, startStack } from './support/stack.ts';

/** Issue 5's "must show": what a message to a group of 1,000 with 900 away costs. How long it takes is the bench's: npm run bench -- group. */
const MEMBERS = 1_000;
const CONNECTED = 100;
const BATCH = 20;
const user = (i: number) => `user-${i}`;
const logger = pino({ level: 'silent' });
let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.stop());

const engine = (name: string) => stack.run.engines.find((one) => one.name === name)!.url;

/** The records of `outgoing_messages` since `from` that carry the entry of a message, by partition. */
async function recordsWith(id: string, from: ReadonlyMap<number, number>): Promise<number[]> {
  const kafka = createKafka({ brokers: [engine('kafka')], clientId: 'large-group', logger });
  const ends = await withAdmin(kafka, (admin) => logEnds(admin, TOPICS.outgoing));
  const counts: number[] = [];
  for (const [partition, toOffset] of ends) {
    const fromOffset = from.get(partition) ?? 0;
    if (fromOffset === toOffset) continue;
    let count = 0;
    const handle = async (records: { value: Buffer | null }[]) => {
      for (const { value } of records)
        if (decodeOutgoing(String(value)).entries.some((entry) => entry.includes(`"id":"${id}"`))) count++;
    };
    const signal = new AbortController().signal;
    await readRange({
      kafka,
      topic: TOPICS.outgoing,
      partition,
      sinceMs: 0,
      fromOffset,
      toOffset,
      handle,
      logger,
      signal,
    });
    if (count > 0) counts.push(count);
  }
  return counts;
}

test('a message to 1,000 members, 900 of them away: one item of history, one record for each gateway, every inbox has it once', async () => {
  const members = Array.from({ length: MEMBERS - 1 }, (_, i) => user(i + 1));
  const made = await call(stack.gatewayUrls[0]!, '/v1/conversations', {
    token: await stack.token(user(0)),
    body: { id: 'crowd', members },
  });
  expect(made).toMatchObject({ status: 201 });
  const clients: TestClient[] = [];
  for (let i = 0; i < CONNECTED; i += BATCH) {
    const batch = Array.from({ length: BATCH }, async (_, j) => {
      const [name, url] = [user(i + j), stack.gatewayUrls[j % stack.gatewayUrls.length]!];
      return TestClient.drained({ url, user: name, device: 'phone', token: await stack.token(name) });
    });
    clients.push(...(await Promise.all(batch)));
  }
  const kafka = createKafka({ brokers: [engine('kafka')], clientId: 'large-group', logger });
  const before = await withAdmin(kafka, (admin) => logEnds(admin, TOPICS.outgoing));

  const [sender, ...others] = clients;
  sender!.send({ t: 'send', id: 'to-the-crowd', conversation: 'grp:crowd', body: 'all of you' });
  await sender!.until('stored', () => sender!.first('stored'));
  await Promise.all(others.map((client) => client.until('it', () => client.messages.length === 1)));

  const redis = redisOf(stack);
  const inboxes = async () => {
    const away = Array.from({ length: MEMBERS - CONNECTED }, (_, i) => user(CONNECTED + i));
    return Promise.all(away.map((one) => redis.lrange(`inbox:{${one}}`, 0, -1)));
  };
  // The group's making, and the message.
  await vi.waitFor(async () => expect((await inboxes()).every((entries) => entries.length >= 2)).toBe(true), {
    timeout: 30_000,
    interval: 50,
  });
  const having = (await inboxes()).map((entries) => entries.filter((entry) => entry.includes('"id":"to-the-crowd"')));
  expect(having.filter(({ length }) => length !== 1)).toEqual([]);
  expect(await recordsWith('to-the-crowd', before)).toEqual(stack.gatewayUrls.map(() => 1));
  const rows = await readHistory(createDynamo({ endpoint: engine('dynamodb'), region: 'us-east-1' }));
  expect(rows.filter(({ id }) => id === 'to-the-crowd')).toHaveLength(1);
  redis.disconnect();
  await Promise.all(clients.map((client) => client.close()));
});
