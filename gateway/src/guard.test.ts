import { expect, test } from 'vitest';
import { Guard } from './guard.ts';

const guard = () =>
  new Guard(
    {
      RATE_UNAUTHORIZED_PER_MINUTE: 2,
      RATE_CONNECT_PER_MINUTE: 3,
      RATE_FRAMES_PER_SECOND: 5,
      THROWN_OUT_SECONDS: 30,
      THROWN_OUT_TIMES: 2,
      CONNECT_PER_SECOND: 100,
      DEVICES_PER_USER: 2,
    },
    0,
  );

test('an address with too many bad tokens has none of its tokens looked at for a while, another has', () => {
  const one = guard();
  expect(one.manyBadTokens('6.6.6.6', 0)).toBeUndefined();
  one.badToken('6.6.6.6', 0);
  expect(one.manyBadTokens('6.6.6.6', 0)).toBeUndefined();
  one.badToken('6.6.6.6', 0);
  expect(one.manyBadTokens('6.6.6.6', 0)).toMatchObject({ waitMs: 30_000 });
  expect(one.manyBadTokens('7.7.7.7', 0)).toBeUndefined();
  expect(one.manyBadTokens('6.6.6.6', 30_000)).toBeUndefined();
});

test('ever new devices of a user get no more handshakes than as many devices as there may be', () => {
  const one = guard();
  const waits = Array.from({ length: 7 }, (_, i) => one.attemptWait('mallory', `new-${i}`, 0));
  expect(waits.slice(0, 6)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(waits[6]).toBeGreaterThan(0);
  expect(one.attemptWait('alice', 'phone', 0)).toBe(0);
});

test('a device that was thrown out too often waits, the other devices of its user do not', () => {
  const one = guard();
  one.threwOut('mallory', 'phone', 0);
  expect(one.thrownOutWait('mallory', 'phone', 0)).toBe(0);
  one.threwOut('mallory', 'phone', 0);
  expect(one.thrownOutWait('mallory', 'phone', 0)).toBe(15_000);
  expect(one.thrownOutWait('mallory', 'tablet', 0)).toBe(0);
  expect(one.thrownOutWait('mallory', 'phone', 15_000)).toBe(0);
});
