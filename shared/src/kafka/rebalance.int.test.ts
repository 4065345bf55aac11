import { afterEach, describe, expect, test, vi } from 'vitest';
import { BatchingProducer } from './batching-producer.ts';
import { type LogConsumer, startLogConsumer } from './log-consumer.ts';
import { testKafka, testLogger, testTopic } from './test-topic.ts';
import { committed, withAdmin } from './topics.ts';

const kafka = testKafka();
const PARTITIONS = 6;
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Two or more members of one group as in one process, and what their handlers saw of each other. */
class Members {
  readonly topic: string;
  /** By partition: offsets in the order of their first handling. */
  readonly firsts = Array.from({ length: PARTITIONS }, () => [] as number[]);
  /** By partition: the offset of each begun batch together with the member and whether it was over when the next began. */
  readonly overlaps: string[] = [];
  readonly assignments: string[] = [];
  #held: Promise<void> | undefined;
  #seen = Array.from({ length: PARTITIONS }, () => new Set<number>());

  constructor(topic: string) {
    this.topic = topic;
  }

  /** Lets `change` happen while every handler is held up, and for a moment after: long enough for a second worker to show. */
  async rebalance<T>(change: () => Promise<T>): Promise<T> {
    let release = () => {};
    this.#held = new Promise((resolve) => {
      release = resolve;
    });
    try {
      const before = this.assignments.length;
      const result = await change();
      await vi.waitFor(() => expect(this.assignments.length).toBeGreaterThan(before), { timeout: 30_000 });
      await new Promise((resolve) => setTimeout(resolve, 300));
      return result;
    } finally {
      this.#held = undefined;
      release();
    }
  }

  async join(name: string): Promise<LogConsumer> {
    const running = new Set<number>();
    const consumer = await startLogConsumer({
      kafka,
      groupId: `group.${this.topic}`,
      topic: this.topic,
      logger: testLogger,
      maxBatchRecords: 7,
      commitIntervalMs: 10,
      onAssigned: (partitions) => void this.assignments.push(`${name}: ${partitions.sort().join()}`),
      handle: async ({ partition, records }) => {
        if (running.has(partition)) this.overlaps.push(`${name}: two workers on ${partition}`);
        running.add(partition);
        // Deaf to the signal, as a slow store would be: what runs when a rebalance begins still runs when it is over.
        await Promise.all([this.#held, new Promise((resolve) => setTimeout(resolve, 2))]);
        for (const { offset } of records) {
          if (this.#seen[partition]!.has(offset)) continue;
          this.#seen[partition]!.add(offset);
          this.firsts[partition]!.push(offset);
        }
        running.delete(partition);
        return { durable: new Promise((resolve) => setTimeout(resolve, Math.random() * 30)) };
      },
    });
    closing.push(() => consumer.stop(0));
    await consumer.whenReady();
    return consumer;
  }
}

describe('a rebalance', () => {
  test('while members join, leave and die: nothing is skipped, order holds, one worker a partition, all is committed', async () => {
    const topic = await testTopic(kafka, PARTITIONS);
    const producer = new BatchingProducer({ kafka, logger: testLogger, topics: [topic] });
    closing.push(() => producer.stop(0));
    await producer.start();
    const perPartition = 800;
    const members = new Members(topic);
    const sending = (async () => {
      for (let i = 0; i < perPartition; i++) {
        await Promise.all(
          Array.from({ length: PARTITIONS }, (_, partition) => producer.send(topic, partition, null, `${i}`)),
        );
      }
    })();
    const first = await members.join('a');
    await members.rebalance(() => members.join('b'));
    const third = await members.rebalance(() => members.join('c'));
    await first.stop();
    await members.rebalance(() => third.stop(0));
    const last = await members.rebalance(() => members.join('d'));
    await sending;
    const all = Array.from({ length: perPartition }, (_, offset) => offset);
    await vi.waitFor(
      () => expect(members.firsts.map((offsets) => offsets.length)).toEqual(Array(PARTITIONS).fill(perPartition)),
      {
        timeout: 40_000,
        interval: 100,
      },
    );
    for (const offsets of members.firsts) expect(offsets).toEqual(all);
    expect(members.overlaps).toEqual([]);
    await vi.waitFor(
      async () => {
        const offsets = await withAdmin(kafka, (admin) => committed(admin, `group.${topic}`, topic));
        expect([...offsets.values()]).toEqual(Array(PARTITIONS).fill(perPartition));
      },
      { timeout: 20_000, interval: 100 },
    );
    expect(last.healthy()).toBe(true);
    // Else nothing was tried.
    expect(members.assignments.length).toBeGreaterThan(5);
  }, 120_000);
});
