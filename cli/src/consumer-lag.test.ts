import { expect, test } from 'vitest';
import { lagOf } from './consumer-lag.ts';

test('sums what is not committed over the partitions, those without a commit included', () => {
  const ends = new Map([
    [0, 10],
    [1, 5],
    [2, 0],
  ]);
  expect(lagOf(ends, new Map([[0, 7]]))).toBe(3 + 5);
  // A commit that was read after the ends may be beyond them.
  expect(lagOf(new Map([[0, 10]]), new Map([[0, 12]]))).toBe(0);
});
