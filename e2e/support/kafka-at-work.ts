import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { KafkaUnavailableError } from '@restante/shared/kafka/errors';
import { startLogConsumer } from '@restante/shared/kafka/log-consumer';
import type { LogRecord } from '@restante/shared/kafka/log-record';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { committed, ensureTopics, withAdmin } from '@restante/shared/kafka/topics';
import { createLogger } from '@restante/shared/runtime/logger';
import { expect, vi } from 'vitest';

/** Set RESTANTE_TEST_LOG=info to see what the Kafka module says. */
export const kafkaTestLogger = createLogger('test', process.env.RESTANTE_TEST_LOG ?? 'silent');
export const LOG = 'log';
export const SLOTS = 'slots';
/** Until a condition holds, on a machine that may be busy with other things. */
export const SOON = { timeout: 60_000, interval: 50 };

export const valuesOf = (records: LogRecord[]) => records.map(({ value }) => value!.toString());
export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A worker's producer, a gateway's producer, a consumer and a slot reader, all at work while `faults` happens. */
export async function atWork(brokers: string, faults: () => Promise<void>) {
  const kafka = createKafka({ brokers: [brokers], clientId: 'test', logger: kafkaTestLogger });
  await ensureTopics(
    kafka,
    [LOG, SLOTS].map((topic) => ({ topic, partitions: 3, replicationFactor: 1, config: {} })),
  );
  const worker = new BatchingProducer({ kafka, logger: kafkaTestLogger, topics: [LOG, SLOTS] });
  const gateway = new BatchingProducer({
    kafka,
    logger: kafkaTestLogger,
    topics: [LOG, SLOTS],
    rejectQueuedWhenUnhealthy: true,
  });
  await Promise.all([worker.start(), gateway.start()]);
  const inLog: string[] = [];
  const inSlot: string[] = [];
  const offsets = [0, 1, 2].map(() => [] as number[]);
  const consumer = await startLogConsumer({
    kafka,
    groupId: 'group',
    topic: LOG,
    logger: kafkaTestLogger,
    handle: async ({ partition, records }) => {
      inLog.push(...valuesOf(records));
      offsets[partition]!.push(...records.map(({ offset }) => offset));
      return { durable: Promise.resolve() };
    },
  });
  const onLost = vi.fn();
  const reader = await startSlotReader({
    kafka,
    topic: SLOTS,
    partition: 1,
    handle: (records) => inSlot.push(...valuesOf(records)),
    onLost,
    logger: kafkaTestLogger,
  });
  const close = async () => {
    await Promise.all([consumer.stop(), reader.stop(), worker.stop(), gateway.stop()]);
  };
  try {
    await consumer.whenReady();
    const acknowledged: string[] = [];
    const refused: string[] = [];
    const failed: unknown[] = [];
    const note = (sending: Promise<void>, value: string) =>
      sending.then(
        () => void acknowledged.push(value),
        (error: unknown) => void (error instanceof KafkaUnavailableError ? refused.push(value) : failed.push(error)),
      );
    let going = true;
    const run = Math.random().toString(36).slice(2);
    const sent: Promise<void>[] = [];
    const sending = (async () => {
      for (let i = 0; going; i++) {
        sent.push(note(worker.send(LOG, i % 3, null, `worker ${run} ${i}`), `worker ${run} ${i}`));
        sent.push(note(worker.send(SLOTS, 1, null, `slot ${run} ${i}`), `slot ${run} ${i}`));
        sent.push(note(gateway.send(LOG, i % 3, null, `gateway ${run} ${i}`), `gateway ${run} ${i}`));
        await pause(5);
      }
    })();
    await faults();
    await vi.waitFor(
      () => expect([worker, gateway].map((producer) => producer.accepting().ok)).toEqual([true, true]),
      SOON,
    );
    await pause(200);
    going = false;
    await sending;
    await Promise.all(sent);
    return { kafka, acknowledged, refused, failed, inLog, inSlot, offsets, onLost, consumer, reader, run, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export async function expectNothingLost(work: Awaited<ReturnType<typeof atWork>>): Promise<void> {
  const { acknowledged, refused, failed, inLog, inSlot, offsets, run } = work;
  expect(failed).toEqual([]);
  const ofSlot = acknowledged.filter((value) => value.startsWith('slot'));
  const ofLog = acknowledged.filter((value) => !value.startsWith('slot'));
  await vi.waitFor(() => expect(ofLog.filter((value) => !inLog.includes(value))).toEqual([]), SOON);
  await vi.waitFor(() => expect(ofSlot.filter((value) => !inSlot.includes(value))).toEqual([]), SOON);
  expect(work.onLost).not.toHaveBeenCalled();
  // A worker never gives up; what a gateway was told was not written, was not.
  expect(refused.filter((value) => !value.startsWith('gateway'))).toEqual([]);
  expect(refused.filter((value) => inLog.includes(value))).toEqual([]);
  // The first time that each offset is handled comes in order, without a hole.
  for (const handled of offsets) {
    const firsts = [...new Set(handled)];
    expect(firsts).toEqual(firsts.map((_, i) => firsts[0]! + i));
  }
  // In order per partition, where what was doubled by a lost answer counts once.
  const mine = [...new Set(inSlot.filter((value) => value.includes(run)))].map((value) => Number(value.split(' ')[2]));
  expect(mine).toEqual([...mine].sort((a, b) => a - b));
  const { kafka, consumer, reader } = work;
  await vi.waitFor(async () => {
    const done = await withAdmin(kafka, (admin) => committed(admin, 'group', LOG));
    for (const [partition, handled] of offsets.entries()) expect(done.get(partition)).toBe(handled.at(-1)! + 1);
    expect([consumer.healthy(), reader.healthy()]).toEqual([true, true]);
  }, SOON);
}
