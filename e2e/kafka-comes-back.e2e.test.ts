import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { startKafka } from '@restante/localstack/kafka-engine';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { startLogConsumer } from '@restante/shared/kafka/log-consumer';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  atWork,
  expectNothingLost,
  LOG,
  kafkaTestLogger as logger,
  pause,
  SLOTS,
  SOON,
  valuesOf,
} from './support/kafka-at-work.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'restante-kafka-'));
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

test('Kafka is killed and comes back on its data: nothing that was acknowledged is lost, nothing that was refused appears', async () => {
  const work = await atWork(broker.url, async () => {
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
  const work = await atWork(broker.url, async () => {
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
