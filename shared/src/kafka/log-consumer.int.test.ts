import { afterEach, describe, expect, test, vi } from 'vitest';
import { BatchingProducer } from './batching-producer.ts';
import { type LogConsumer, type LogConsumerOptions, startLogConsumer } from './log-consumer.ts';
import type { LogBatch } from './log-record.ts';
import { testKafka, testLogger, testTopic } from './test-topic.ts';
import { committed, withAdmin } from './topics.ts';

const kafka = testKafka();
const SOON = { timeout: 20_000, interval: 20 };
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function producerFor(topic: string): Promise<BatchingProducer> {
  const producer = new BatchingProducer({ kafka, logger: testLogger, topics: [topic] });
  closing.push(() => producer.stop(0));
  await producer.start();
  return producer;
}

async function consuming(
  topic: string,
  options: Pick<LogConsumerOptions, 'handle'> & Partial<LogConsumerOptions>,
): Promise<LogConsumer> {
  const consumer = await startLogConsumer({
    kafka,
    groupId: `group.${topic}`,
    topic,
    logger: testLogger,
    commitIntervalMs: 20,
    ...options,
  });
  closing.push(() => consumer.stop(0));
  return consumer;
}

const committedOf = (topic: string) => withAdmin(kafka, (admin) => committed(admin, `group.${topic}`, topic));
const valuesOf = (batch: LogBatch) => batch.records.map(({ value }) => value!.toString());
const DONE = { durable: Promise.resolve() };

function deferred() {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('LogConsumer', () => {
  test('from the beginning, in order; what gathers behind a busy handler is its next batch', async () => {
    const topic = await testTopic(kafka, 1);
    const producer = await producerFor(topic);
    await producer.send(topic, 0, 'key', 'before', { h: 'x' });
    const batches: LogBatch[] = [];
    const gate = deferred();
    await consuming(topic, {
      handle: async (batch) => {
        batches.push(batch);
        if (batches.length === 1) await gate.promise;
        return DONE;
      },
    });
    await vi.waitFor(() => expect(batches).toHaveLength(1), SOON);
    expect(batches[0]!.records[0]).toMatchObject({ offset: 0, key: 'key', headers: { h: 'x' } });
    expect(Math.abs(batches[0]!.records[0]!.timestamp - Date.now())).toBeLessThan(3_600_000);
    for (let i = 0; i < 50; i++) await producer.send(topic, 0, null, `${i}`);
    gate.resolve();
    await vi.waitFor(() => expect(batches.flatMap(valuesOf)).toHaveLength(51), SOON);
    expect(batches.flatMap(valuesOf)).toEqual(['before', ...Array.from({ length: 50 }, (_, i) => `${i}`)]);
    expect(batches.length).toBeLessThan(10);
    await vi.waitFor(async () => expect(await committedOf(topic)).toEqual(new Map([[0, 51]])), SOON);
  });

  test('a slow durable holds up the commit, not the handling; a restart begins at the contiguous commit', async () => {
    const topic = await testTopic(kafka, 1);
    const producer = await producerFor(topic);
    const never = new Promise<void>(() => {});
    const handled: string[] = [];
    const first = await consuming(topic, {
      maxBatchRecords: 1,
      handle: async (batch) => {
        handled.push(...valuesOf(batch));
        return batch.records[0]!.offset === 5 ? { durable: never } : DONE;
      },
    });
    for (let i = 0; i < 20; i++) await producer.send(topic, 0, null, `${i}`);
    await vi.waitFor(() => expect(handled).toHaveLength(20), SOON);
    await vi.waitFor(async () => expect(await committedOf(topic)).toEqual(new Map([[0, 5]])), SOON);
    expect(first.lag()).toEqual(new Map([[0, 15]]));
    await first.stop(0);
    const again: string[] = [];
    const second = await consuming(topic, {
      handle: async (batch) => {
        again.push(...valuesOf(batch));
        return DONE;
      },
    });
    await vi.waitFor(() => expect(again).toHaveLength(15), SOON);
    expect(again).toEqual(handled.slice(5));
    await vi.waitFor(() => expect(second.lag()).toEqual(new Map([[0, 0]])), SOON);
  });

  test('a handler that fails is called with the same batch until it succeeds: nothing is skipped, other partitions go on', async () => {
    const topic = await testTopic(kafka, 2);
    const producer = await producerFor(topic);
    const handled: string[] = [];
    let fails = true;
    const consumer = await consuming(topic, {
      handle: async (batch) => {
        if (batch.partition === 0 && fails) throw new Error('not now');
        handled.push(...valuesOf(batch));
        return DONE;
      },
    });
    await consumer.whenReady();
    for (let i = 0; i < 5; i++)
      await Promise.all([0, 1].map((partition) => producer.send(topic, partition, null, `${partition}.${i}`)));
    await vi.waitFor(() => expect(handled).toEqual(['1.0', '1.1', '1.2', '1.3', '1.4']), SOON);
    expect(consumer.healthy()).toBe(false);
    fails = false;
    await vi.waitFor(() => expect(handled.slice(5)).toEqual(['0.0', '0.1', '0.2', '0.3', '0.4']), SOON);
    await vi.waitFor(() => expect(consumer.healthy()).toBe(true), SOON);
  });

  test('nothing is handled before onAssigned has resolved, which is asked again when it fails', async () => {
    const topic = await testTopic(kafka, 3);
    const producer = await producerFor(topic);
    await producer.send(topic, 1, null, 'waits');
    const steps: string[] = [];
    const consumer = await consuming(topic, {
      onAssigned: async (partitions) => {
        steps.push(`assigned ${partitions.sort().join()}`);
        if (steps.length === 1) throw new Error('not prepared');
      },
      handle: async (batch) => {
        steps.push(...valuesOf(batch));
        return DONE;
      },
    });
    await consumer.whenReady();
    await vi.waitFor(() => expect(steps).toEqual(['assigned 0,1,2', 'assigned 0,1,2', 'waits']), SOON);
  });

  test('a partition over its bound of unfinished bytes is not fetched until there is room, and the others are', async () => {
    const topic = await testTopic(kafka, 2);
    const producer = await producerFor(topic);
    const gate = deferred();
    const value = 'x'.repeat(10_000);
    let held = 0;
    let other = 0;
    const throttled = vi.fn();
    const consumer = await consuming(topic, {
      maxUnfinishedBytes: 2_000_000,
      events: { throttled },
      handle: async (batch) => {
        if (batch.partition === 1) other += batch.records.length;
        else held += batch.records.length;
        return { durable: batch.partition === 1 ? Promise.resolve() : gate.promise };
      },
    });
    await consumer.whenReady();
    await Promise.all(Array.from({ length: 1000 }, () => producer.send(topic, 0, null, value)));
    await vi.waitFor(() => expect(throttled).toHaveBeenCalled(), SOON);
    for (let i = 0; i < 10; i++) await producer.send(topic, 1, null, 'small');
    await vi.waitFor(() => expect(other).toBe(10), SOON);
    // At most its bound and one fetch more.
    expect(held).toBeLessThan(400);
    gate.resolve();
    await vi.waitFor(() => expect(held).toBe(1000), SOON);
  });

  test('the stop lets what runs become durable, commits it, and begins nothing more', async () => {
    const topic = await testTopic(kafka, 1);
    const producer = await producerFor(topic);
    const durable = deferred();
    const handled: string[] = [];
    const consumer = await consuming(topic, {
      maxBatchRecords: 1,
      handle: async (batch) => {
        handled.push(...valuesOf(batch));
        if (handled.length === 3) void consumer.stop();
        return { durable: durable.promise };
      },
    });
    for (let i = 0; i < 10; i++) await producer.send(topic, 0, null, `${i}`);
    await vi.waitFor(() => expect(handled.length).toBeGreaterThanOrEqual(3), SOON);
    durable.resolve();
    await consumer.stop();
    expect(handled).toEqual(['0', '1', '2']);
    expect(await committedOf(topic)).toEqual(new Map([[0, 3]]));
  });
});
