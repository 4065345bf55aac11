import type { Message } from 'kafkajs';
import { pino } from 'pino';
import { describe, expect, test, vi } from 'vitest';
import { KafkaOutcomeUnknownError, KafkaRecordError, KafkaUnavailableError } from './errors.ts';
import { type LaneContext, ProduceLane } from './produce-lane.ts';

/** A machine that does much else may be slow. */
const WITHIN = { timeout: 20_000 };

/** What one attempt does: it is told the values of the batch, and resolves or rejects. */
type Attempt = (values: string[]) => Promise<void>;

function laneWith(attempt: Attempt, options: Partial<LaneContext> = {}) {
  const stopped = new AbortController();
  let heldBytes = 0;
  const failing: boolean[] = [];
  const lane = new ProduceLane('topic', 0, {
    send: (_topic, _partition, messages: Message[]) => attempt(messages.map((message) => String(message.value))),
    release: (bytes) => {
      heldBytes -= bytes;
    },
    setFailing: (_lane, now) => failing.push(now),
    setFlying: () => {},
    maxBatchBytes: 1000,
    maxBatchRecords: 100,
    rejectQueuedWhenUnhealthy: false,
    retryAfterMs: 1,
    stopped: stopped.signal,
    events: {},
    logger: pino({ level: 'silent' }),
    ...options,
  });
  const push = (value: string, bytes = 10) =>
    new Promise<void>((resolve, reject) => {
      heldBytes += bytes;
      lane.push({ message: { key: null, value }, bytes, resolve, reject, settled: false });
    });
  return { lane, push, failing, stopped, heldBytes: () => heldBytes };
}

const error = (type: string) => Object.assign(new Error(type), { type });

describe('ProduceLane', () => {
  test('what is sent in one tick is one batch, what comes while it flies is the next', async () => {
    const batches: string[][] = [];
    let answer = () => {};
    const { push } = laneWith((values) => {
      batches.push(values);
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    const first = [push('a'), push('b')];
    await vi.waitFor(() => expect(batches).toEqual([['a', 'b']]), WITHIN);
    const second = [push('c')];
    await Promise.resolve();
    second.push(push('d'));
    answer();
    await Promise.all(first);
    await vi.waitFor(
      () =>
        expect(batches).toEqual([
          ['a', 'b'],
          ['c', 'd'],
        ]),
      WITHIN,
    );
    answer();
    await Promise.all(second);
  });

  test('a batch keeps to its bounds, but a record larger than the bound goes alone', async () => {
    const batches: string[][] = [];
    const { push } = laneWith(async (values) => void batches.push(values), { maxBatchBytes: 100, maxBatchRecords: 3 });
    await Promise.all([
      push('a', 60),
      push('b', 60),
      push('huge', 500),
      push('c', 1),
      push('d', 1),
      push('e', 1),
      push('f', 1),
    ]);
    expect(batches).toEqual([['a'], ['b'], ['huge'], ['c', 'd', 'e'], ['f']]);
  });

  test('a batch of unknown outcome is sent again as it was, in order, until it is acknowledged', async () => {
    const attempts: string[][] = [];
    const { push, failing, heldBytes } = laneWith(async (values) => {
      attempts.push(values);
      if (attempts.length <= 3) throw error('REQUEST_TIMED_OUT');
    });
    const sent = [push('a'), push('b')];
    await vi.waitFor(() => expect(attempts.length).toBeGreaterThan(0), WITHIN);
    sent.push(push('c'));
    await Promise.all(sent);
    expect(attempts).toEqual([['a', 'b'], ['a', 'b'], ['a', 'b'], ['a', 'b'], ['c']]);
    expect(failing).toEqual([true, false]);
    expect(heldBytes()).toBe(0);
  });

  test('where asked for, what is queued behind a failing batch is rejected as not written, the batch itself never', async () => {
    let fails = true;
    const { push } = laneWith(
      async () => {
        if (fails) throw error('NOT_LEADER_FOR_PARTITION');
      },
      { rejectQueuedWhenUnhealthy: true, maxBatchRecords: 1 },
    );
    const first = push('in flight');
    const outcome = vi.fn();
    first.then(() => outcome('acknowledged'), outcome);
    await expect(push('queued')).rejects.toBeInstanceOf(KafkaUnavailableError);
    expect(outcome).not.toHaveBeenCalled();
    fails = false;
    await first;
  });

  test('only the record that the broker refuses is rejected, the rest of its batch goes, in order', async () => {
    const written: string[] = [];
    const { push, heldBytes } = laneWith(async (values) => {
      if (values.includes('bad')) throw error('MESSAGE_TOO_LARGE');
      written.push(...values);
    });
    const good = ['a', 'b', 'c', 'd', 'e'].map((value) => push(value));
    const bad = push('bad');
    const after = push('f');
    await expect(bad).rejects.toMatchObject({ code: 'too_large' });
    await expect(bad).rejects.toBeInstanceOf(KafkaRecordError);
    await Promise.all([...good, after]);
    expect(written).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(heldBytes()).toBe(0);
  });

  test('at the stop, what flies is of unknown outcome and what waits is known not to be written', async () => {
    const { lane, push, stopped, heldBytes } = laneWith(() => Promise.reject(error('REQUEST_TIMED_OUT')), {
      maxBatchRecords: 1,
    });
    const flying = push('flying');
    const waiting = push('waiting');
    const outcomes = Promise.allSettled([flying, waiting]);
    await Promise.resolve();
    stopped.abort();
    lane.abandon();
    const [first, second] = await outcomes;
    expect(first).toMatchObject({ status: 'rejected', reason: expect.any(KafkaOutcomeUnknownError) });
    expect(second).toMatchObject({ status: 'rejected', reason: expect.any(KafkaUnavailableError) });
    expect(heldBytes()).toBe(0);
  });
});
