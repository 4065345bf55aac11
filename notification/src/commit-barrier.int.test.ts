import { randomUUID } from 'node:crypto';
import { positionOf } from '@restante/shared/contract/ids';
import { AdminHolder } from '@restante/shared/kafka/admin-holder';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { type LogConsumer, startLogConsumer } from '@restante/shared/kafka/log-consumer';
import { testKafka, testLogger, testTopic } from '@restante/shared/kafka/test-topic';
import { committed, withAdmin } from '@restante/shared/kafka/topics';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { CommitBarrier } from './commit-barrier.ts';

const kafka = testKafka();
const admin = new AdminHolder(kafka);
const SOON = { timeout: 30_000, interval: 20 };
let topic: string;
const group = `group-${randomUUID()}`;
let consumer: LogConsumer;
/** What finishes a record, by partition and offset: as messaging's history does. */
const finish = new Map<string, () => void>();
let producer: BatchingProducer;
let barrier: CommitBarrier;
const stopping: AbortController[] = [];

beforeAll(async () => {
  topic = await testTopic(kafka, 2);
  producer = new BatchingProducer({ kafka, logger: testLogger, topics: [topic] });
  await producer.start();
  consumer = await startLogConsumer({
    kafka,
    groupId: group,
    topic,
    handle: async ({ partition, records }) => ({
      durable: new Promise((resolve) => finish.set(`${partition}/${records[0]!.offset}`, resolve)),
    }),
    maxBatchRecords: 1,
    commitIntervalMs: 20,
    logger: testLogger,
  });
});
afterAll(async () => {
  await consumer.stop(0);
  await producer.stop(0);
  await admin.close();
});
beforeEach(() => {
  barrier = new CommitBarrier(admin, topic, group, 3);
});
afterEach(() => {
  for (const controller of stopping.splice(0)) controller.abort();
});

const passed = () => {
  const controller = new AbortController();
  stopping.push(controller);
  const state = { done: false, controller, cut: barrier.passed(controller.signal) };
  state.cut.then(
    () => {
      state.done = true;
    },
    () => undefined,
  );
  return state;
};
const done = [0, 0];
/** Finishes what is before these offsets. */
const commit = async (offsets: number[]) => {
  for (const [partition, offset] of offsets.entries()) {
    for (; done[partition]! < offset; done[partition]!++) {
      const key = `${partition}/${done[partition]}`;
      await vi.waitFor(() => expect(finish.has(key)).toBe(true), SOON);
      finish.get(key)!();
    }
  }
};
/** The barrier has looked at what is committed by now, more than once. */
const looked = async () => {
  for (let i = 0; i < 5; i++) await withAdmin(kafka, (client) => committed(client, group, topic));
};
let ends = [0, 0];
const produce = async (partition: number) => {
  await producer.send(topic, partition, null, 'record');
  ends = ends.map((end, i) => (i === partition ? end + 1 : end));
};
const cutAt = (at: number[]) => new Map(at.map((offset, partition) => [partition, positionOf(3, offset)]));

it('passes an empty log at once', async () => {
  expect(await passed().cut).toEqual(cutAt(ends));
});

it('waits until every partition is committed as far as it went, and gives the cut there', async () => {
  await produce(0);
  await produce(1);
  await produce(1);
  const waiting = passed();
  await looked();
  expect(waiting.done).toBe(false);
  await commit([ends[0]!, ends[1]! - 1]);
  await looked();
  expect(waiting.done).toBe(false);
  // What comes meanwhile is not waited for.
  const cut = cutAt(ends);
  await produce(0);
  await commit([ends[0]! - 1, ends[1]!]);
  expect(await waiting.cut).toEqual(cut);
});

it('makes who asks meanwhile wait for a round that began after they asked, together', async () => {
  await produce(0);
  const first = passed();
  await looked();
  await produce(1);
  const [second, third] = [passed(), passed()];
  await commit([ends[0]!, ends[1]! - 1]);
  await first.cut;
  await looked();
  expect([second.done, third.done]).toEqual([false, false]);
  await commit(ends);
  expect(await second.cut).toEqual(cutAt(ends));
  expect(await third.cut).toBe(await second.cut);
});

it('ends when it is stopped', async () => {
  await produce(0);
  const waiting = passed();
  const refused = expect(waiting.cut).rejects.toThrow('stopped while waiting for messaging to commit');
  waiting.controller.abort();
  await refused;
  await commit(ends);
  await vi.waitFor(async () => expect(await passed().cut).toEqual(cutAt(ends)), SOON);
});
