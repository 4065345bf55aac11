import { expect, test } from 'vitest';
import { courseOf, coursesOf, type Sample } from './flatness.ts';

const MIB = 2 ** 20;
const values = (of: (i: number) => number): number[] => Array.from({ length: 56 }, (_, i) => of(i));
const series = (of: (i: number) => Sample): Sample[] => Array.from({ length: 56 }, (_, i) => of(i));
const growing = (samples: readonly Sample[]): string[] =>
  coursesOf(samples).flatMap(({ what, flat }) => (flat ? [] : [what]));

test('what stays, falls, or grows by a tenth is flat', () => {
  expect(
    courseOf(
      'x',
      values(() => 100),
      0,
    ),
  ).toMatchObject({ first: 100, last: 100, flat: true });
  expect(
    courseOf(
      'x',
      values((i) => 100 - i),
      0,
    )?.flat,
  ).toBe(true);
  expect(
    courseOf(
      'x',
      values((i) => 100 + i / 8),
      0,
    )?.flat,
  ).toBe(true);
});

test('what grows steadily grows, unless by less than the allowance', () => {
  const grown = values((i) => 100 + i);
  expect(courseOf('x', grown, 5)).toEqual({ what: 'x', first: 106.5, last: 148.5, most: 122.15, flat: false });
  expect(courseOf('x', grown, 40)?.flat).toBe(true);
});

test('noise and single windows that stand out change nothing; growth beneath them shows', () => {
  const noise = (i: number) => ((i * 37) % 11) - 5 + (i % 9 === 8 ? 1_000 : 0);
  expect(
    courseOf(
      'x',
      values((i) => 100 + noise(i)),
      0,
    )?.flat,
  ).toBe(true);
  expect(
    courseOf(
      'x',
      values((i) => 100 + i + noise(i)),
      0,
    )?.flat,
  ).toBe(false);
});

test('too few samples have no course', () => {
  expect(courseOf('x', [1, 2, 3], 0)).toBeUndefined();
  expect(coursesOf([])).toEqual([]);
});

test('each process is judged by itself', () => {
  const samples = series((i) => ({
    p50Ms: 2,
    'rss.ours.gateway-1': 100 * MIB + i * MIB,
    'rss.ours.gateway-2': 100 * MIB,
  }));
  expect(growing(samples)).toEqual(['RSS of gateway-1, MiB']);
});

test('claims may grow, and Redis by them; not by more', () => {
  const redis = (i: number, leak: number): Sample => ({
    redisBytes: (10 + i * (1 + leak)) * MIB,
    claimBytes: i * MIB,
    'rss.engine.redis': (30 + i * (1 + leak)) * MIB,
  });
  expect(growing(series((i) => redis(i, 0)))).toEqual([]);
  expect(growing(series((i) => redis(i, 1)))).toEqual([
    'Redis less the claims, MiB',
    'RSS of redis less the claims, MiB',
  ]);
});

test('a window without a figure is left out', () => {
  const samples = series((i) => (i % 2 === 0 ? { p50Ms: i } : {}));
  expect(coursesOf(samples)).toMatchObject([{ what: 'live p50, ms', first: 6, last: 48 }]);
});
