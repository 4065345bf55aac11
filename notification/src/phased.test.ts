import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Phased, TICK_MS } from './phased.ts';

const keys = Array.from({ length: 400 }, (_, i) => `user-${i}`);
const taken = (queue: Phased<number>, nowMs: number) => queue.take(1000, 'due', nowMs).map(([key]) => key);

test('what came at once is due spread over the period, all of it by the end', () => {
  const queue = new Phased<number>(5000, 0);
  for (const key of keys) queue.set(key, 1, 10);
  const perHalfSecond = Array.from({ length: 11 }, (_, i) => taken(queue, i * 500).length);
  expect(perHalfSecond[0]).toBe(0);
  for (const count of perHalfSecond.slice(1)) expect(count).toBeGreaterThan(10);
  expect(perHalfSecond.reduce((a, b) => a + b)).toBe(keys.length);
  expect(queue.size).toBe(0);
});

test('a key that never rests is due once a period, with its last value', () => {
  const queue = new Phased<number>(1000, 0);
  const seen: [number, number][] = [];
  for (let ms = 0; ms < 10_000; ms += 25) {
    queue.set('busy', ms, ms);
    for (const [, value] of queue.take(10, 'due', ms)) seen.push([ms, value]);
  }
  expect(seen).toHaveLength(10);
  for (const [ms, value] of seen) expect(value).toBe(ms);
  expect(new Set(seen.map(([ms]) => ms % 1000)).size).toBe(1);
});

test('nothing waits for ever, and none is given twice, whatever is set, deleted and taken', () => {
  const step = fc.oneof(
    fc.record({ set: fc.nat(5) }),
    fc.record({ delete: fc.nat(5) }),
    fc.record({ take: fc.nat(3), any: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(step, fc.nat(400)), { maxLength: 60 }), (steps) => {
      const queue = new Phased<number>(1000, 0);
      const model = new Set<string>();
      let now = 0;
      for (const [one, ms] of steps) {
        now += ms;
        if ('set' in one) {
          queue.set(`k${one.set}`, now, now);
          model.add(`k${one.set}`);
        } else if ('delete' in one) expect(queue.delete(`k${one.delete}`)).toBe(model.delete(`k${one.delete}`));
        else
          for (const [key] of queue.take(one.take, one.any ? 'any' : 'due', now)) expect(model.delete(key)).toBe(true);
        expect(queue.size).toBe(model.size);
      }
      expect(new Set(taken(queue, now + 1000 + TICK_MS))).toEqual(model);
    }),
  );
});
