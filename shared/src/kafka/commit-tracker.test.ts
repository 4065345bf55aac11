import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommitTracker } from './commit-tracker.ts';

/** What must be committable, said the slow way: one past the last of the leading tracked offsets that are all done. */
function expected(tracked: readonly number[], done: ReadonlySet<number>): number | undefined {
  const firstOpen = tracked.findIndex((offset) => !done.has(offset));
  const prefix = firstOpen === -1 ? tracked : tracked.slice(0, firstOpen);
  return prefix.length === 0 ? undefined : prefix.at(-1)! + 1;
}

describe('CommitTracker', () => {
  test('nothing is committable before the first tracked offset is done', () => {
    const tracker = new CommitTracker();
    for (const offset of [5, 6, 7]) tracker.track(offset);
    tracker.done(7);
    tracker.done(6);
    expect(tracker.committable()).toBeUndefined();
    tracker.done(5);
    expect(tracker.committable()).toBe(8);
    expect(tracker.pending).toBe(0);
  });

  test('holes in the log are no holes among what is tracked', () => {
    const tracker = new CommitTracker();
    for (const offset of [3, 10, 50]) tracker.track(offset);
    tracker.done(3);
    expect(tracker.committable()).toBe(4);
    tracker.done(10);
    expect(tracker.committable()).toBe(11);
  });

  test('an offset that is not beyond the tracked ones is refused', () => {
    const tracker = new CommitTracker();
    tracker.track(4);
    expect(() => tracker.track(4)).toThrow(RangeError);
    expect(() => tracker.track(3)).toThrow(RangeError);
  });

  test('in any order of tracking and finishing, only the finished prefix is committable, and it never goes back', () => {
    const step = fc.oneof(
      fc.record({ track: fc.integer({ min: 1, max: 5 }) }),
      // Finishes any offset up to the last one: tracked or not, once or often.
      fc.record({ finish: fc.double({ min: 0, max: 1, noNaN: true }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const tracker = new CommitTracker();
        const tracked: number[] = [];
        const done = new Set<number>();
        let before = 0;
        for (const one of steps) {
          const last = tracked.at(-1) ?? 0;
          if ('track' in one) {
            tracked.push(last + one.track);
            tracker.track(last + one.track);
          } else {
            const offset = Math.floor(one.finish * (last + 1));
            if (tracked.includes(offset)) done.add(offset);
            tracker.done(offset);
          }
          expect(tracker.committable()).toBe(expected(tracked, done));
          expect(tracker.committable() ?? 0).toBeGreaterThanOrEqual(before);
          before = tracker.committable() ?? 0;
        }
      }),
    );
  });

  test('a long run forgets what is finished, and still knows what is not', () => {
    const tracker = new CommitTracker();
    for (let offset = 0; offset < 10_000; offset++) {
      tracker.track(offset);
      if (offset >= 10) tracker.done(offset - 10);
    }
    expect(tracker.committable()).toBe(9990);
    expect(tracker.pending).toBe(10);
    tracker.done(9999);
    expect(tracker.committable()).toBe(9990);
    for (let offset = 9990; offset < 9999; offset++) tracker.done(offset);
    expect(tracker.committable()).toBe(10_000);
  });
});
