import { expect, test } from 'vitest';
import { LatencyWindow } from './latency-window.ts';

const QUANTILES = { p50: 0.5, p99: 0.99, most: 1 };

test('tells the quantiles to three figures, whatever the order', () => {
  const window = new LatencyWindow();
  for (let i = 0; i < 1_000; i++) window.record((((i * 7) % 1_000) + 1) / 10);
  const { p50, p99, most } = window.take(QUANTILES);
  expect(p50).toBeCloseTo(50, 0);
  expect(p99).toBeCloseTo(99, 0);
  expect(most).toBeCloseTo(100, 0);
});

test('a window knows nothing of the one before', () => {
  const window = new LatencyWindow();
  window.record(5_000);
  window.take(QUANTILES);
  expect(window.take(QUANTILES)).toEqual({});
  window.record(2);
  expect(window.take(QUANTILES).most).toBeCloseTo(2, 2);
});

test('what is nothing, or longer than anything, is counted at the ends', () => {
  const window = new LatencyWindow();
  for (const ms of [0, -1, 1e12]) window.record(ms);
  const { p50, most } = window.take(QUANTILES);
  expect(p50).toBe(0.001);
  expect(most).toBeGreaterThan(3_500_000);
});
