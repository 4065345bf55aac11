import { afterEach, describe, expect, test, vi } from 'vitest';
import { BatchingProducer } from './batching-producer.ts';
import { type SlotReader, type SlotReaderOptions, startSlotReader } from './slot-reader.ts';
import { testKafka, testLogger, testTopic } from './test-topic.ts';
import { withAdmin } from './topics.ts';

const kafka = testKafka();
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

async function reading(topic: string, partition: number, options: Partial<SlotReaderOptions> = {}) {
  const values: string[] = [];
  const onLost = vi.fn();
  const handle: SlotReaderOptions['handle'] = (records) => {
    for (const { value } of records) values.push(value!.toString());
  };
  const reader = await startSlotReader({ kafka, topic, partition, handle, onLost, logger: testLogger, ...options });
  closing.push(() => reader.stop());
  return { reader, values, onLost };
}

async function groupsOf(topic: string): Promise<string[]> {
  const { groups } = await withAdmin(kafka, (admin) => admin.listGroups());
  return groups.map(({ groupId }) => groupId).filter((groupId) => groupId.includes(topic));
}

describe('the slot reader', () => {
  test('reads every record that is sent after it is positioned, none from before, and only its own slot', async () => {
    const topic = await testTopic(kafka, 4);
    const producer = await producerFor(topic);
    for (let round = 0; round < 8; round++) {
      const slot = round % 4;
      await producer.send(topic, slot, null, `before ${round}`);
      const { reader, values } = await reading(topic, slot);
      // At once: a reader that positions itself lazily, at the end of the log as its first fetch finds it, misses these.
      const sent = Array.from({ length: 20 }, (_, i) => `${round}.${i}`);
      await Promise.all([
        ...sent.map((value) => producer.send(topic, slot, null, value)),
        producer.send(topic, (slot + 1) % 4, null, 'other slot'),
      ]);
      await vi.waitFor(() => expect(values.length).toBeGreaterThanOrEqual(sent.length), { timeout: 10_000 });
      expect(values).toEqual(sent);
      await reader.stop();
    }
  });

  test('two readers, each of its slot, share nothing', async () => {
    const topic = await testTopic(kafka, 2);
    const producer = await producerFor(topic);
    const [a, b] = await Promise.all([reading(topic, 0), reading(topic, 1)]);
    await Promise.all([0, 1].map((slot) => producer.send(topic, slot, null, `for ${slot}`)));
    await vi.waitFor(() => expect([a.values, b.values]).toEqual([['for 0'], ['for 1']]), { timeout: 10_000 });
  });

  test('a handler that throws is not called again for those records, and reading goes on', async () => {
    const topic = await testTopic(kafka, 1);
    const producer = await producerFor(topic);
    const seen: string[] = [];
    await reading(topic, 0, {
      handle: (records) => {
        seen.push(...records.map(({ value }) => value!.toString()));
        if (seen.length === 1) throw new Error('a bad hint');
      },
    });
    await producer.send(topic, 0, null, 'first');
    await producer.send(topic, 0, null, 'second');
    await vi.waitFor(() => expect(seen).toEqual(['first', 'second']), { timeout: 10_000 });
  });

  test('records cut off the log before they were read: it says so and goes on from the end', async () => {
    const topic = await testTopic(kafka, 1);
    const producer = await producerFor(topic);
    const { values, onLost } = await reading(topic, 0, { checkEachMs: 200 });
    await producer.send(topic, 0, null, 'one');
    await vi.waitFor(() => expect(values).toEqual(['one']), { timeout: 10_000 });
    // The topic is made again: what the reader asks for lies beyond its end.
    await withAdmin(kafka, (admin) => admin.deleteTopics({ topics: [topic] }));
    await vi.waitFor(
      () =>
        withAdmin(kafka, (admin) =>
          admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }),
        ),
      { timeout: 10_000, interval: 200 },
    );
    await vi.waitFor(() => expect(onLost).toHaveBeenCalled(), { timeout: 40_000 });
    await producer.send(topic, 0, null, 'of the new log');
    await vi.waitFor(() => expect(values.at(-1)).toBe('of the new log'), { timeout: 20_000 });
  });

  test('a stopped reader leaves no group behind', async () => {
    const topic = await testTopic(kafka, 1);
    const { reader } = await reading(topic, 0);
    expect(reader.healthy()).toBe(true);
    expect(await groupsOf(topic)).toHaveLength(1);
    await reader.stop();
    expect(reader.healthy()).toBe(false);
    expect(await groupsOf(topic)).toEqual([]);
  });

  test('it can be told to give up before it is positioned', async () => {
    const abort = new AbortController();
    const options = {
      kafka,
      topic: 'test.absent',
      partition: 0,
      handle: () => {},
      onLost: () => {},
      logger: testLogger,
    };
    const starting: Promise<SlotReader> = startSlotReader(options, abort.signal);
    const refused = expect(starting).rejects.toThrow(/stopped before it was positioned/);
    abort.abort();
    await refused;
  });
});
