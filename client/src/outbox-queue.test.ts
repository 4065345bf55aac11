import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_QUEUE, OutboxQueue } from './outbox-queue.ts';
import type { OutboxRecord } from './store/records.ts';

const options = { ...DEFAULT_QUEUE, backoff: { baseMs: 2000, maxMs: 64_000 } };
const record = (order: number, conversation = 'dm:a:b', extra: Partial<OutboxRecord> = {}): OutboxRecord => ({
  ...{ order, id: `message-${order}`, conversation, body: '', createdAt: 0, state: 'created', attempts: 0 },
  ...extra,
});
const ids = (items: readonly { id: string }[]) => items.map(({ id }) => Number(id.slice(8)));

describe('outbox queue', () => {
  it('sends one of a conversation at a time, and conversations side by side', () => {
    const queue = new OutboxQueue(options);
    for (const [order, conversation] of [
      [1, 'dm:a:b'],
      [2, 'dm:a:b'],
      [3, 'dm:a:c'],
    ] as const)
      queue.add(record(order, conversation));
    expect(queue.take(0)).toEqual([]);
    queue.connected();
    expect(ids(queue.take(0))).toEqual([1, 3]);
    expect(queue.take(0)).toEqual([]);
    queue.accepted('message-1', 10);
    expect(ids(queue.take(10))).toEqual([2]);
  });

  it('tries again after a drop at once, after a refusal when asked, after silence with a backoff', () => {
    const queue = new OutboxQueue(options);
    queue.add(record(1));
    queue.connected();
    queue.take(0);
    expect(ids(queue.disconnected())).toEqual([1]);
    expect(queue.item('message-1')?.state).toBe('failed-send');
    queue.connected();
    expect(ids(queue.take(5))).toEqual([1]);
    expect(queue.item('message-1')).toMatchObject({ state: 'retrying', attempts: 2 });
    expect(queue.rejected('message-1', { retryable: true, retryAfterMs: 9000 }, 5, 0)).toBe('failed-send');
    expect(queue.take(9004)).toEqual([]);
    expect(queue.nextWakeAt()).toBe(9005);
    expect(ids(queue.take(9005))).toEqual([1]);
    expect(queue.timedOut(9005 + 19_999, () => 0.5)).toEqual([]);
    expect(ids(queue.timedOut(9005 + 20_000, () => 0.5))).toEqual([1]);
    expect(queue.nextWakeAt()).toBe(9005 + 20_000 + 4000);
  });

  it('holds everything back while the server asks all to wait, but not after a hurry by hand', () => {
    const queue = new OutboxQueue(options);
    queue.add(record(1));
    queue.add(record(2, 'dm:a:c'));
    queue.connected();
    queue.take(0);
    queue.rejected('message-1', { retryable: true, retryAfterMs: 1000, pause: true }, 0, 0);
    queue.rejected('message-2', { retryable: true, pause: true }, 0, 0);
    expect(queue.take(999)).toEqual([]);
    queue.hurry();
    expect(ids(queue.take(999))).toEqual([1, 2]);
  });

  it('gives up a final refusal, and one that was tried too often', () => {
    const queue = new OutboxQueue({ ...options, maxAttempts: 2 });
    queue.add(record(1));
    queue.connected();
    queue.take(0);
    expect(queue.rejected('message-1', { retryable: true }, 0, 0)).toBe('failed-send');
    queue.take(0);
    expect(queue.rejected('message-1', { retryable: true }, 0, 0)).toBe('rejected');
    expect(queue.size).toBe(0);
    queue.add(record(2));
    queue.take(0);
    expect(queue.rejected('message-2', { retryable: false }, 0, 0)).toBe('rejected');
    expect(queue.rejected('message-2', { retryable: false }, 0, 0)).toBeUndefined();
  });

  it('asks again for what was accepted and never stored', () => {
    const queue = new OutboxQueue(options);
    queue.add(record(1));
    queue.connected();
    queue.take(0);
    queue.accepted('message-1', 100);
    expect(queue.take(30_099)).toEqual([]);
    expect(ids(queue.take(30_100))).toEqual([1]);
    expect(queue.item('message-1')?.state).toBe('accepted');
    queue.disconnected();
    queue.connected();
    expect(ids(queue.take(30_200))).toEqual([1]);
    queue.remove('message-1');
    expect(queue.nextWakeAt()).toBeUndefined();
  });

  it('takes up what a crash left, in order, whatever state it was in', () => {
    const queue = new OutboxQueue(options);
    queue.add(record(2, 'dm:a:b', { state: 'created' }));
    queue.add(record(1, 'dm:a:b', { state: 'sending', attempts: 1 }));
    queue.add(record(3, 'dm:a:b', { state: 'rejected' }));
    queue.connected();
    expect(ids(queue.take(0))).toEqual([1]);
    expect(queue.item('message-1')?.state).toBe('retrying');
    queue.accepted('message-1', 0);
    expect(ids(queue.take(0))).toEqual([2]);
    expect(queue.size).toBe(2);
  });

  it('gets everything through in order, once accepted each, whatever the line does (property)', () => {
    const event = fc.constantFrom('accept', 'refuse', 'drop', 'silence', 'wait');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(event, { maxLength: 60 }), (count, events) => {
        const queue = new OutboxQueue(options);
        for (let order = 1; order <= count; order++) queue.add(record(order));
        const accepted: number[] = [];
        let now = 0;
        queue.connected();
        for (const happened of [...events, ...Array<string>(count * 3).fill('accept')]) {
          const wake = queue.nextWakeAt();
          now = Math.max(now, wake ?? now);
          queue.timedOut(now, () => 0.5);
          now = Math.max(now, queue.nextWakeAt() ?? now);
          const sent = queue.take(now).filter(({ state }) => state !== 'accepted');
          expect(sent.length).toBeLessThanOrEqual(1);
          const [item] = sent;
          if (item === undefined || happened === 'silence' || happened === 'wait') continue;
          if (happened === 'accept') {
            accepted.push(item.order);
            queue.accepted(item.id, now);
            queue.remove(item.id);
          } else if (happened === 'refuse') queue.rejected(item.id, { retryable: true }, now, 0.5);
          else {
            queue.disconnected();
            queue.connected();
          }
        }
        expect(accepted).toEqual(Array.from({ length: count }, (_, i) => i + 1));
      }),
    );
  });
});
