import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, test, vi } from 'vitest';
import type { BatchHandler, LogRecord } from './log-record.ts';
import { PartitionWorker, type WorkerOptions } from './partition-worker.ts';

/** A machine that does much else may be slow. */
const WITHIN = { timeout: 20_000 };

const records = (...offsets: number[]): LogRecord[] =>
  offsets.map((offset) => ({ offset, key: null, value: Buffer.from(`${offset}`), timestamp: 0, headers: {} }));

function workerWith(handle: BatchHandler, options: Partial<WorkerOptions> = {}): PartitionWorker {
  return new PartitionWorker({
    topic: 'topic',
    partition: 0,
    mayBegin: Promise.resolve(),
    handle,
    maxBatchRecords: 10,
    maxBatchBytes: 1_000_000,
    onCommittable: () => {},
    logger: pino({ level: 'silent' }),
    events: {},
    ...options,
  });
}

function deferred() {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}

describe('PartitionWorker', () => {
  test('what gathers while a batch is handled is the next batch, within the bound', async () => {
    const batches: number[][] = [];
    const gate = deferred();
    const worker = workerWith(async (batch) => {
      batches.push(batch.records.map((record) => record.offset));
      if (batches.length === 1) await gate.promise;
      return { durable: Promise.resolve() };
    });
    worker.push(records(0));
    await vi.waitFor(() => expect(batches).toEqual([[0]]), WITHIN);
    worker.push(records(1, 2, 3));
    worker.push(records(4, 5, 6, 7, 8, 9, 10, 11, 12));
    gate.resolve();
    await vi.waitFor(() => expect(batches).toEqual([[0], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [11, 12]]), WITHIN);
    await vi.waitFor(() => expect(worker.committable()).toBe(13), WITHIN);
    expect(worker.idle).toBe(true);
  });

  test('a slow durable holds up the commit, not the handling', async () => {
    const slow = deferred();
    const handled: number[] = [];
    const worker = workerWith(
      async ({ records: [record] }) => {
        handled.push(record!.offset);
        return { durable: record!.offset === 1 ? slow.promise : Promise.resolve() };
      },
      { maxBatchRecords: 1 },
    );
    worker.push(records(0, 1, 2, 3));
    await vi.waitFor(() => expect(handled).toEqual([0, 1, 2, 3]), WITHIN);
    expect(worker.committable()).toBe(1);
    expect(worker.idle).toBe(false);
    slow.resolve();
    await vi.waitFor(() => expect(worker.committable()).toBe(4), WITHIN);
    expect(worker.idle).toBe(true);
  });

  test('a batch that is not handled is handled again before any other', async () => {
    const handled: number[] = [];
    let failures = 2;
    const worker = workerWith(
      async ({ records: [record] }) => {
        handled.push(record!.offset);
        if (record!.offset === 1 && failures-- > 0) throw new Error('not now');
        return { durable: Promise.resolve() };
      },
      { maxBatchRecords: 1 },
    );
    worker.push(records(0, 1, 2));
    await vi.waitFor(() => expect(worker.retrying).toBe(true), WITHIN);
    await vi.waitFor(() => expect(worker.committable()).toBe(3), WITHIN);
    expect(handled).toEqual([0, 1, 1, 1, 2]);
    expect(worker.retrying).toBe(false);
  });

  test('a batch that did not become durable is handled again, and nothing from it on is committable before', async () => {
    const handled: number[] = [];
    let fails = true;
    const worker = workerWith(
      async ({ records: [record] }) => {
        handled.push(record!.offset);
        return { durable: record!.offset === 1 && fails ? Promise.reject(new Error('not stored')) : Promise.resolve() };
      },
      { maxBatchRecords: 1 },
    );
    worker.push(records(0, 1, 2));
    await vi.waitFor(() => expect(handled).toEqual([0, 1, 2]), WITHIN);
    expect(worker.committable()).toBe(1);
    fails = false;
    await vi.waitFor(() => expect(worker.committable()).toBe(3), WITHIN);
    expect(handled).toEqual([0, 1, 2, 1]);
  });

  test('discarded: the running handler is told and waited for, nothing more is begun, nothing more is committable', async () => {
    const gate = deferred();
    const durable = deferred();
    const handled: number[] = [];
    const aborted = vi.fn();
    const worker = workerWith(
      async ({ records: [record], signal }) => {
        handled.push(record!.offset);
        signal.addEventListener('abort', aborted);
        await gate.promise;
        return { durable: durable.promise };
      },
      { maxBatchRecords: 1 },
    );
    worker.push(records(0, 1));
    await vi.waitFor(() => expect(handled).toEqual([0]), WITHIN);
    const finished = vi.fn();
    const discarded = worker.discard().then(finished);
    expect(aborted).toHaveBeenCalled();
    await Promise.resolve();
    expect(finished).not.toHaveBeenCalled();
    gate.resolve();
    await discarded;
    durable.resolve();
    await durable.promise;
    await Promise.resolve();
    expect(handled).toEqual([0]);
    expect(worker.committable()).toBeUndefined();
  });

  test('nothing is handled before it may begin', async () => {
    const gate = deferred();
    const handle = vi.fn<BatchHandler>(async () => ({ durable: Promise.resolve() }));
    const worker = workerWith(handle, { mayBegin: gate.promise });
    worker.push(records(0));
    await Promise.resolve();
    expect(handle).not.toHaveBeenCalled();
    gate.resolve();
    await vi.waitFor(() => expect(worker.committable()).toBe(1), WITHIN);
  });

  test('whatever fails and however slowly, every record is handled, first in order, and one batch at a time', async () => {
    const outcome = fc.constantFrom('done', 'durable later', 'handle fails once', 'durable fails once');
    await fc.assert(
      fc.asyncProperty(
        fc.array(outcome, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 4 }),
        async (outcomes, size) => {
          const failed = new Set<number>();
          const first: number[] = [];
          let running = 0;
          const worker = workerWith(
            async (batch) => {
              expect(++running).toBe(1);
              await Promise.resolve();
              running--;
              let durable: Promise<void> = Promise.resolve();
              for (const { offset } of batch.records) {
                const is = outcomes[offset];
                const again = failed.has(offset);
                failed.add(offset);
                if (is === 'handle fails once' && !again) throw new Error('handle');
                if (is === 'durable fails once' && !again) durable = Promise.reject(new Error('durable'));
                if (is === 'durable later')
                  durable = durable.then(() => new Promise((resolve) => setImmediate(resolve)));
                durable.catch(() => {});
              }
              for (const { offset } of batch.records) if (!first.includes(offset)) first.push(offset);
              return { durable };
            },
            { maxBatchRecords: size },
          );
          worker.push(records(...outcomes.keys()));
          await vi.waitFor(() => expect(worker.committable()).toBe(outcomes.length), { ...WITHIN, interval: 2 });
          expect(first).toEqual([...outcomes.keys()]);
          expect(worker.unfinishedBytes).toBe(0);
          await worker.discard();
        },
      ),
      { numRuns: 15 },
    );
  });
});
