import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { startKafka } from '@restante/localstack/kafka-engine';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { KafkaUnavailableError } from '@restante/shared/kafka/errors';
import { startLogConsumer } from '@restante/shared/kafka/log-consumer';
import type { LogRecord } from '@restante/shared/kafka/log-record';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { committed, ensureTopics, withAdmin } from '@restante/shared/kafka/topics';
import { createLogger } from '@restante/shared/runtime/logger';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

const dataDir = mkdtempSync(join(tmpdir(), 'restante-kafka-'));
const logger = createLogger('test', process.env.RESTANTE_TEST_LOG ?? 'silent');
const LOG = 'log';
const SLOTS = 'slots';
const SOON = { timeout: 60_000, interval: 50 };
let broker: Engine;
let port: number;

beforeAll(async () => {
  broker = await startKafka({ dataDir });
  port = Number(broker.url.split(':').at(-1));
});

afterAll(async () => {
  await broker.kill();
  rmSync(dataDir, { recursive: true, force: true });
});

const valuesOf = (records: LogRecord[]) => records.map(({ value }) => value!.toString());
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A worker's producer, a gateway's producer, a consumer and a slot reader, all at work while `faults` happens. */
async function atWork(faults: () => Promise<void>) {
  const kafka = createKafka({ brokers: [broker.url], clientId: 'test', logger });
  await ensureTopics(
    kafka,
    [LOG, SLOTS].map((topic) => ({ topic, partitions: 3, replicationFactor: 1, config: {} })),
  );
  const worker = new BatchingProducer({ kafka, logger, topics: [LOG, SLOTS] });
  const gateway = new BatchingProducer({ kafka, logger, topics: [LOG, SLOTS], rejectQueuedWhenUnhealthy: true });
  await Promise.all([worker.start(), gateway.start()]);
  const inLog: string[] = [];
  const inSlot: string[] = [];
  const offsets = [0, 1, 2].map(() => [] as number[]);
  const consumer = await startLogConsumer({
    kafka,
    groupId: 'group',
    topic: LOG,
    logger,
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
    logger,
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

async function expectNothingLost(work: Awaited<ReturnType<typeof atWork>>): Promise<void> {
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

test('Kafka is killed and comes back on its data: nothing that was acknowledged is lost, nothing that was refused appears', async () => {
  const work = await atWork(async () => {
    await pause(500);
    await broker.kill();
    await pause(3000);
    broker = await startKafka({ dataDir, port });
  });
  try {
    expect(work.refused.length).toBeGreaterThan(0);
    await expectNothingLost(work);
  } finally {
    await work.close();
  }
}, 180_000);

test('Kafka hangs for longer than a request may take, and goes on: nothing is lost, everything recovers by itself', async () => {
  const work = await atWork(async () => {
    await pause(500);
    process.kill(broker.pid, 'SIGSTOP');
    await pause(14_000);
    process.kill(broker.pid, 'SIGCONT');
  });
  try {
    await expectNothingLost(work);
  } finally {
    await work.close();
  }
}, 180_000);

test('services that start while Kafka is away begin to work when it comes', async () => {
  await broker.stop();
  const kafka = createKafka({ brokers: [`127.0.0.1:${port}`], clientId: 'test', logger });
  const producer = new BatchingProducer({ kafka, logger, topics: [LOG, SLOTS] });
  const starting = producer.start();
  const inLog: string[] = [];
  const inSlot: string[] = [];
  const consumer = await startLogConsumer({
    kafka,
    groupId: 'late group',
    topic: LOG,
    logger,
    handle: async ({ records }) => {
      inLog.push(...valuesOf(records));
      return { durable: Promise.resolve() };
    },
  });
  const positioning = startSlotReader({
    kafka,
    topic: SLOTS,
    partition: 2,
    handle: (records) => inSlot.push(...valuesOf(records)),
    onLost: () => {},
    logger,
  });
  try {
    await pause(2000);
    expect([producer.accepting().ok, consumer.ready()]).toEqual([false, false]);
    broker = await startKafka({ dataDir, port });
    const [reader] = await Promise.all([positioning, starting, consumer.whenReady()]);
    await Promise.all([producer.send(LOG, 0, null, 'late'), producer.send(SLOTS, 2, null, 'late')]);
    await vi.waitFor(() => expect([inLog.includes('late'), inSlot]).toEqual([true, ['late']]), SOON);
    await reader.stop();
  } finally {
    await Promise.all([consumer.stop(), producer.stop()]);
  }
}, 180_000);
