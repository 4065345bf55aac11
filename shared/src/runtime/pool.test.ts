import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { pool } from './pool.ts';

const ITEMS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

describe('a pool', () => {
  test.each([1, 3, 20])(
    'does each item once, in their order, and of a width of %i no more at a time',
    async (width) => {
      const done: number[] = [];
      let [running, most] = [0, 0];
      await pool(ITEMS, width, async (item) => {
        done.push(item);
        most = Math.max(most, ++running);
        await setImmediate();
        running--;
      });
      expect(done).toEqual(ITEMS);
      expect(most).toBe(Math.min(width, ITEMS.length));
    },
  );

  test('begins none after one has failed, waits for those under way, and throws the first failure', async () => {
    const [begun, ended]: [number[], number[]] = [[], []];
    const running = pool(ITEMS, 3, async (item) => {
      begun.push(item);
      if (item === 1) throw new Error('the first');
      // Longer than it takes the first to fail.
      await setImmediate();
      ended.push(item);
      if (item === 2) throw new Error('a later one');
    });
    await expect(running).rejects.toThrow('the first');
    expect(begun).toEqual([0, 1, 2]);
    expect(ended).toEqual([0, 2]);
  });

  test('does nothing for no items', async () => {
    await pool([], 3, () => Promise.reject(new Error('begun')));
  });
});
