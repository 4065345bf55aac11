import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, sleep } from './sleep.ts';

describe('backoffMs', () => {
  it('is between half and all of what doubles from the base up to the cap, and never beyond', () => {
    const attempt = fc.oneof(fc.nat({ max: 40 }), fc.nat());
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(
        attempt,
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 1, max: 3_600_000 }),
        random,
        (n, base, cap, r) => {
          const full = Math.min(cap, base * 2 ** Math.min(n, 30));
          const ms = backoffMs(n, base, cap, () => r);
          return Number.isInteger(ms) && ms >= Math.floor(full / 2) && ms <= full;
        },
      ),
    );
  });

  it('doubles', () => {
    expect([0, 1, 2, 3, 4].map((attempt) => backoffMs(attempt, 100, 1000, () => 0.999999))).toEqual([
      100, 200, 400, 800, 1000,
    ]);
    expect([0, 1, 2, 3, 4].map((attempt) => backoffMs(attempt, 100, 1000, () => 0))).toEqual([50, 100, 200, 400, 500]);
  });
});

describe('sleep', () => {
  it('ends at once where the signal is or gets aborted, and leaves no listener behind', async () => {
    await sleep(3_600_000, AbortSignal.abort());
    const controller = new AbortController();
    const sleeping = sleep(3_600_000, controller.signal);
    controller.abort();
    await sleeping;
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    await sleep(1, signal);
    expect(listeners).toBe(0);
  });

  it('lets many wait for one signal, without a warning', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on('warning', note);
    const controller = new AbortController();
    const sleeping = Array.from({ length: 50 }, () => sleep(3_600_000, controller.signal));
    controller.abort();
    await Promise.all(sleeping);
    // Warnings are told in a turn of their own.
    await new Promise(setImmediate);
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });
});
