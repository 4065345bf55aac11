import { expect, test } from 'vitest';
import type { InboxEntry } from './frames.ts';
import { OrderWatch } from './watch-order.ts';

const entry = (seq: number, gen = 1) =>
  ({
    t: 'deleted',
    seq,
    gen,
    replayed: false,
    conversation: 'dm:a:b',
    position: seq,
    by: 'a',
    at: 0,
  }) satisfies InboxEntry;
const gap = (from: number, to: number) =>
  ({
    t: 'gap',
    seq: to,
    gen: 1,
    from,
    to,
    count: to - from + 1,
    reason: 'expired',
    conversations: [],
  }) satisfies InboxEntry;

function watching(acked: number): OrderWatch {
  const watch = new OrderWatch();
  watch.start(1, acked);
  return watch;
}

test('is silent while seqs grow by one, gaps included', () => {
  const watch = watching(4);
  expect([entry(5), entry(6), gap(7, 9), entry(10)].map((one) => watch.see(one))).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('tells of what is missing, repeated, or of another generation', () => {
  expect(watching(4).see(entry(7))).toContain('2 missing');
  expect(watching(4).see(gap(7, 9))).toContain('2 missing');
  expect(watching(4).see(entry(4))).toContain('again or out of order');
  expect(watching(4).see(entry(5, 2))).toContain('generation 2');
});

test('starts over at a reset', () => {
  const watch = watching(4);
  watch.start(2, 0);
  expect(watch.see(entry(1, 2))).toBeUndefined();
});
