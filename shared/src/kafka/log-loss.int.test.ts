import { afterEach, describe, expect, test, vi } from 'vitest';
import { BatchingProducer } from './batching-producer.ts';
import { type LogConsumer, type LogConsumerOptions, LogReplacedError, startLogConsumer } from './log-consumer.ts';
import { testKafka, testLogger, testTopic } from './test-topic.ts';
import { withAdmin } from './topics.ts';

const kafka = testKafka();
const SOON = { timeout: 40_000, interval: 50 };
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function produce(topic: string, count: number, value = 'v'): Promise<void> {
  const producer = new BatchingProducer({ kafka, logger: testLogger, topics: [topic] });
  await producer.start();
  await Promise.all(Array.from({ length: count }, () => producer.send(topic, 0, null, value)));
  await producer.stop();
}

async function consuming(topic: string, options: Partial<LogConsumerOptions> = {}) {
  const handled: number[] = [];
  const jumped = vi.fn();
  const onFatal = vi.fn();
  const consumer: LogConsumer = await startLogConsumer({
    kafka,
    groupId: `group.${topic}`,
    topic,
    logger: testLogger,
    commitIntervalMs: 10,
    onFatal,
    events: { jumped },
    handle: async ({ records }) => {
      handled.push(...records.map(({ offset }) => offset));
      return { durable: Promise.resolve() };
    },
    ...options,
  });
  closing.push(() => consumer.stop(0));
  return { consumer, handled, jumped, onFatal };
}

const commit = (topic: string, offset: string) =>
  withAdmin(kafka, (admin) =>
    admin.setOffsets({ groupId: `group.${topic}`, topic, partitions: [{ partition: 0, offset }] }),
  );
const cutBefore = (topic: string, offset: string) =>
  withAdmin(kafka, async (admin) => {
    // kafkajs deletes only where it knows the topic's leaders already.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] });
  });

describe('a log that is not as it was', () => {
  test('records that retention took while nobody consumed: said so, and begun after them', async () => {
    const topic = await testTopic(kafka, 1);
    await produce(topic, 20);
    await commit(topic, '5');
    await cutBefore(topic, '12');
    const { handled, jumped, onFatal } = await consuming(topic);
    await vi.waitFor(() => expect(handled).toEqual([12, 13, 14, 15, 16, 17, 18, 19]), SOON);
    expect(jumped).toHaveBeenCalledExactlyOnceWith(topic, 0, 5, 12);
    expect(onFatal).not.toHaveBeenCalled();
  });

  test('records that retention took from under a slow consumer: said so, and gone on after them', async () => {
    const topic = await testTopic(kafka, 1);
    await produce(topic, 300, 'x'.repeat(10_000));
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const handled: number[] = [];
    // Holds the first fetch, so that the rest stays in the log.
    const { jumped } = await consuming(topic, {
      maxUnfinishedBytes: 100_000,
      handle: async ({ records }) => {
        handled.push(...records.map(({ offset }) => offset));
        return { durable: released };
      },
    });
    await vi.waitFor(() => expect(handled.length).toBeGreaterThan(0), SOON);
    await cutBefore(topic, '290');
    release();
    await vi.waitFor(() => expect(handled.at(-1)).toBe(299), SOON);
    expect(jumped).toHaveBeenCalledTimes(1);
    const [, , from, to] = jumped.mock.calls[0]!;
    expect(to).toBe(290);
    expect(handled).toEqual([
      ...Array.from({ length: from }, (_, i) => i),
      ...Array.from({ length: 10 }, (_, i) => 290 + i),
    ]);
  });

  test('a log that ends below what was committed is another one: the consumer refuses it for good, and says so', async () => {
    const topic = await testTopic(kafka, 1);
    await produce(topic, 5);
    await commit(topic, '1000');
    const { consumer, handled, onFatal } = await consuming(topic);
    await vi.waitFor(() => expect(onFatal).toHaveBeenCalledTimes(1), SOON);
    expect(onFatal.mock.calls[0]![0]).toBeInstanceOf(LogReplacedError);
    expect(onFatal.mock.calls[0]![0].message).toMatch(/ends at 5, but .* up to 1000/);
    expect([consumer.ready(), consumer.healthy()]).toEqual([false, false]);
    expect(handled).toEqual([]);
  });
});
