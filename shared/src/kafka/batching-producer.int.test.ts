import { afterEach, describe, expect, test, vi } from 'vitest';
import { BatchingProducer, type BatchingProducerOptions } from './batching-producer.ts';
import { createKafka } from './client.ts';
import { KafkaRecordError, KafkaUnavailableError } from './errors.ts';
import { startSlotReader } from './slot-reader.ts';
import { testKafka, testLogger, testTopic } from './test-topic.ts';
import { logEnds, withAdmin } from './topics.ts';

const kafka = testKafka();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function producerFor(topic: string, options: Partial<BatchingProducerOptions> = {}): BatchingProducer {
  const producer = new BatchingProducer({ kafka, logger: testLogger, topics: [topic], ...options });
  closing.push(() => producer.stop(0));
  return producer;
}

async function readFrom(topic: string, partition: number): Promise<string[]> {
  const values: string[] = [];
  const handle: Parameters<typeof startSlotReader>[0]['handle'] = (records) => {
    for (const { key, value, headers } of records)
      values.push([key, value?.toString(), headers.h].filter((part) => part != null).join('|'));
  };
  const reader = await startSlotReader({
    kafka,
    topic,
    partition,
    handle,
    onLost: () => values.push('LOST'),
    logger: testLogger,
  });
  closing.push(() => reader.stop());
  return values;
}

describe('BatchingProducer', () => {
  test('records of a partition are in the log in the order of sending, in few batches, with key, value and headers', async () => {
    const topic = await testTopic(kafka, 2);
    const batches: number[] = [];
    const producer = producerFor(topic, {
      events: { produced: (_topic, partition, records) => void (partition === 1 && batches.push(records)) },
    });
    await producer.start();
    const values = await readFrom(topic, 1);
    const sent = Array.from({ length: 2000 }, (_, i) => `value ${i}`);
    await Promise.all([
      ...sent.map((value) => producer.send(topic, 1, null, value)),
      producer.send(topic, 0, 'elsewhere', 'not read'),
      producer.send(topic, 1, 'key', Buffer.from('last'), { h: 'header' }),
    ]);
    await vi.waitFor(() => expect(values.length).toBe(sent.length + 1), { timeout: 10_000 });
    expect(values).toEqual([...sent, 'key|last|header']);
    expect(batches.length).toBeLessThan(20);
  });

  test('a record that the broker refuses is rejected alone; the others of its batch are written once, in order', async () => {
    const topic = await testTopic(kafka, 1, { 'max.message.bytes': '20000' });
    const producer = producerFor(topic);
    await producer.start();
    const values = await readFrom(topic, 0);
    const sending = Array.from({ length: 50 }, (_, i) =>
      producer.send(topic, 0, null, i === 20 ? 'x'.repeat(30_000) : `${i}`),
    );
    const outcomes = await Promise.allSettled(sending);
    expect(outcomes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))).toEqual([20]);
    expect(outcomes[20]).toMatchObject({ reason: expect.any(KafkaRecordError) });
    await vi.waitFor(() => expect(values.length).toBeGreaterThanOrEqual(49), { timeout: 10_000 });
    expect(values).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`).filter((value) => value !== '20'));
    expect(producer.accepting()).toEqual({ ok: true });
  });

  test('over its bound of held bytes it refuses at once, as known not to be written, and takes more once there is room', async () => {
    const topic = await testTopic(kafka, 1);
    const producer = producerFor(topic, { maxHeldBytes: 100_000 });
    await producer.start();
    const sent = Array.from({ length: 300 }, () => producer.send(topic, 0, null, 'x'.repeat(1000)));
    expect(producer.accepting()).toMatchObject({ ok: false });
    const outcomes = await Promise.allSettled(sent);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) {
      expect(reason).toBeInstanceOf(KafkaUnavailableError);
      expect(reason).toMatchObject({ code: 'overloaded' });
    }
    await producer.send(topic, 0, null, 'there is room again');
    const ends = await withAdmin(kafka, (admin) => logEnds(admin, topic));
    expect(ends.get(0)).toBe(outcomes.length - refused.length + 1);
  });

  test('while Kafka is not there, a worker waits, a gateway is told at once, and the stop says what is known', async () => {
    const nobody = createKafka({ brokers: ['127.0.0.1:9'], clientId: 'test', logger: testLogger });
    const waits = producerFor('any', { kafka: nobody });
    const refuses = producerFor('any', { kafka: nobody, rejectQueuedWhenUnhealthy: true });
    const starts = [waits.start(), refuses.start()].map((start) =>
      expect(start).rejects.toBeInstanceOf(KafkaUnavailableError),
    );
    expect(waits.accepting()).toMatchObject({ ok: false });
    await expect(refuses.send('any', 0, null, 'v')).rejects.toMatchObject({ code: 'unavailable' });
    expect(() => waits.partitionFor('any', 'key')).toThrow(KafkaUnavailableError);
    expect(() => waits.partitionFor('unheard of', 'key')).toThrow(TypeError);
    const waiting = expect(waits.send('any', 0, null, 'v')).rejects.toThrow(/stopped/);
    await Promise.all([waits.stop(0), refuses.stop(0)]);
    await Promise.all([waiting, ...starts]);
    await expect(waits.send('any', 0, null, 'v')).rejects.toMatchObject({ code: 'stopped' });
  });

  test('a partition that the topic does not have is never taken for written', async () => {
    const topic = await testTopic(kafka, 1);
    const retried = vi.fn();
    const producer = producerFor(topic, { events: { produceRetried: retried } });
    await producer.start();
    const sending = producer.send(topic, 7, null, 'nowhere');
    sending.catch(() => {});
    await vi.waitFor(() => expect(retried).toHaveBeenCalled(), { timeout: 10_000 });
    expect(producer.accepting()).toMatchObject({ ok: false });
    await producer.stop(0);
    await expect(sending).rejects.toThrow(/stopped/);
  });

  test('the stop sends what is held', async () => {
    const topic = await testTopic(kafka, 1);
    const producer = producerFor(topic);
    await producer.start();
    const sent = Array.from({ length: 1500 }, (_, i) => producer.send(topic, 0, null, `${i}`));
    await producer.stop();
    await Promise.all(sent);
    const ends = await withAdmin(kafka, (admin) => logEnds(admin, topic));
    expect(ends.get(0)).toBe(1500);
  });
});
