import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { startLogConsumer } from '@restante/shared/kafka/log-consumer';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { ensureTopics } from '@restante/shared/kafka/topics';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { atWork, expectNothingLost, kafkaTestLogger as logger, pause, SOON } from './support/kafka-at-work.ts';
import { type KafkaProxy, startKafkaBehindProxy } from './support/kafka-proxy.ts';

let proxy: KafkaProxy;

beforeAll(async () => {
  proxy = await startKafkaBehindProxy();
});

afterAll(() => proxy.close());

test('a consumer and a slot reader whose fetches are never answered are noticed and made anew, and skip nothing', async () => {
  const kafka = createKafka({ brokers: [proxy.brokers], clientId: 'test', logger });
  const [log, slots] = ['silenced.log', 'silenced.slots'];
  await ensureTopics(
    kafka,
    [log, slots].map((topic) => ({ topic, partitions: 1, replicationFactor: 1, config: {} })),
  );
  const producer = new BatchingProducer({ kafka, logger, topics: [log, slots] });
  await producer.start();
  proxy.silenced = 2;
  const inLog: number[] = [];
  const inSlot: number[] = [];
  const restarted = vi.fn();
  // Far more often than kafkajs itself gives a request up.
  const often = 500;
  const consumer = await startLogConsumer({
    kafka,
    groupId: 'group',
    topic: log,
    logger,
    watchdogEachMs: often,
    events: { restarted },
    handle: async ({ records }) => {
      inLog.push(...records.map(({ offset }) => offset));
      return { durable: Promise.resolve() };
    },
  });
  const handle: Parameters<typeof startSlotReader>[0]['handle'] = (records) =>
    inSlot.push(...records.map(({ offset }) => offset));
  const onLost = vi.fn();
  const reader = await startSlotReader({
    kafka,
    topic: slots,
    partition: 0,
    handle,
    onLost,
    checkEachMs: often,
    logger,
    events: { restarted },
  });
  try {
    await consumer.whenReady();
    await vi.waitFor(() => expect(proxy.silenced).toBe(0), SOON);
    await Promise.all(
      [log, slots].flatMap((topic) => Array.from({ length: 10 }, () => producer.send(topic, 0, null, 'v'))),
    );
    await vi.waitFor(() => expect([inLog.length, inSlot.length]).toEqual([10, 10]), SOON);
    const all = Array.from({ length: 10 }, (_, offset) => offset);
    expect([inLog, inSlot]).toEqual([all, all]);
    const stuck = restarted.mock.calls.filter(([, reason]) => /stuck/.test(reason)).map(([topic]) => topic);
    expect(new Set(stuck)).toEqual(new Set([log, slots]));
    expect(onLost).not.toHaveBeenCalled();
  } finally {
    await Promise.all([consumer.stop(0), reader.stop(), producer.stop(0)]);
  }
}, 120_000);

test('a connection that is cut in the middle of an answer, several times: nothing is skipped, nothing crashes', async () => {
  const kafka = createKafka({ brokers: [proxy.brokers], clientId: 'test', logger });
  const topic = 'cut';
  await ensureTopics(kafka, [{ topic, partitions: 1, replicationFactor: 1, config: {} }]);
  const producer = new BatchingProducer({ kafka, logger, topics: [topic] });
  await producer.start();
  await Promise.all(Array.from({ length: 200 }, () => producer.send(topic, 0, null, 'x'.repeat(2000))));
  await producer.stop();
  proxy.cut = 5;
  const handled: number[] = [];
  const restarted = vi.fn();
  const consumer = await startLogConsumer({
    kafka,
    groupId: 'group of cut',
    topic,
    logger,
    events: { restarted },
    handle: async ({ records }) => {
      handled.push(...records.map(({ offset }) => offset));
      return { durable: Promise.resolve() };
    },
  });
  try {
    await vi.waitFor(() => expect(handled.length).toBe(200), SOON);
    expect(proxy.cut).toBe(0);
    expect(handled).toEqual(Array.from({ length: 200 }, (_, offset) => offset));
    expect(restarted).not.toHaveBeenCalled();
  } finally {
    await consumer.stop(0);
  }
}, 120_000);

test('connections that are cut at random, with answers lost on the way: nothing is lost, nothing is out of order', async () => {
  const work = await atWork(proxy.brokers, async () => {
    for (let cuts = 0; cuts < 40; cuts++) {
      proxy.cutOne(cuts % 2 === 0 ? 0 : 200);
      await pause(100 + Math.random() * 200);
    }
  });
  try {
    await expectNothingLost(work);
  } finally {
    await work.close();
  }
}, 180_000);
