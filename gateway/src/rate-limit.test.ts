import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { RateLimits, TokenBucket } from './rate-limit.ts';

vi.setConfig({ testTimeout: 60_000 });

const takeAll = (bucket: TokenBucket, nowMs: number): number => {
  let taken = 0;
  while (bucket.take(nowMs) === 0) taken++;
  return taken;
};

describe('a bucket', () => {
  it('gives its burst at once, then its rate', () => {
    const bucket = new TokenBucket(50, 200, 0);
    expect(takeAll(bucket, 0)).toBe(200);
    expect(takeAll(bucket, 100)).toBe(5);
    expect(takeAll(bucket, 3_600_000)).toBe(200);
  });

  it('says after how long a token will be there', () => {
    const bucket = new TokenBucket(4, 1, 1000);
    expect(bucket.take(1000)).toBe(0);
    expect(bucket.take(1000)).toBe(250);
    expect(bucket.take(1100)).toBe(150);
    expect(bucket.take(1250)).toBe(0);
  });

  it('neither gives nor takes tokens when the clock is set back', () => {
    const bucket = new TokenBucket(10, 10, 3_600_000);
    expect(takeAll(bucket, 3_600_000)).toBe(10);
    expect(takeAll(bucket, 0)).toBe(0);
    expect(takeAll(bucket, 200)).toBe(2);
  });

  it('never gives more than its burst and its rate, whatever the clock does', () => {
    const clock = fc.array(fc.integer({ min: -5000, max: 5000 }), { maxLength: 30 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 50 }),
        clock,
        (perSecond, burst, steps) => {
          let now = 0;
          const bucket = new TokenBucket(perSecond, burst, now);
          let taken = takeAll(bucket, now);
          let forward = 0;
          for (const step of steps) {
            now += step;
            forward += Math.max(0, step);
            const got = takeAll(bucket, now);
            expect(got).toBeLessThanOrEqual(burst);
            taken += got;
          }
          expect(taken).toBeLessThanOrEqual(burst + (forward / 1000) * perSecond + 1e-6);
        },
      ),
    );
  });

  it('takes as long as it says', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 0, max: 100_000 }), (perSecond, at) => {
        const bucket = new TokenBucket(perSecond, 1, at);
        bucket.take(at);
        const waitMs = bucket.take(at);
        expect(waitMs).toBeGreaterThan(0);
        expect(bucket.take(at + waitMs)).toBe(0);
      }),
    );
  });
});

it('limits users one by one', () => {
  const limit = new RateLimits(1, 2);
  expect(['a', 'a', 'b'].map((user) => limit.take(user, 0))).toEqual([0, 0, 0]);
  expect(limit.take('a', 0)).toBe(1000);
  expect(limit.take('b', 0)).toBe(0);
});
