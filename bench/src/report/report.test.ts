import { expect, test } from 'vitest';
import type { Result, Run } from '../result.ts';
import { plot } from './plot.ts';
import { tables } from './tables.ts';
import { OWN_BOUNDS, PEER_BOUNDS, verdicts } from './targets.ts';

const counters = {
  sent: 1,
  accepted: 1,
  received: 1,
  lost: 0,
  duplicated: 0,
  outOfOrder: 0,
  failed: 0,
  corrupt: 0,
  misrouted: 0,
  unknown: 0,
  errors: {},
};
const result = (
  system: string,
  workload: string,
  figures: Record<string, number>,
  more: Partial<Result> = {},
): Result => ({ system, workload, figures, counters, ...more });
const machine = {
  date: '2026-11-21',
  node: 'v20',
  cores: 2,
  cpu: 'c',
  memoryGiB: 24,
  kernel: 'Linux',
  openFiles: '20000',
};
const run: Run = {
  machine,
  results: [
    result('restante', 'W1', { p50Ms: 1, p99Ms: 9 }),
    result('socketio-rabbitmq', 'W1', { p50Ms: 1, p99Ms: 3 }),
    result('restante', 'W1', { p50Ms: 3, p99Ms: 9 }),
    result('restante', 'W1', { p50Ms: 2, p99Ms: 12 }),
    { system: 'nats', workload: 'W1', error: 'nats | ended\nat start' },
  ],
};

test('shows the least, the median and the most of the rounds, and what failed', () => {
  const text = tables(run);
  expect(text).toContain('| restante | 3/3 | 1 / 2 / 3 | – | 9 / 9 / 12 |'.replace(' – |', ''));
  expect(text).toContain('| nats | 0/1 |');
  expect(text).toContain('nats / ended');
});

test('judges medians against plain bounds and against the reference of the same run', () => {
  expect(verdicts(OWN_BOUNDS, run.results).find(({ what }) => what.includes('p50'))).toMatchObject({
    value: 2,
    met: true,
  });
  const peers = verdicts(PEER_BOUNDS, run.results);
  expect(peers.find(({ what }) => what === 'W1 p50 ms')).toMatchObject({
    value: 2,
    met: true,
    target: '≤ 2.5 × socketio-rabbitmq = 2.5',
  });
  expect(peers.find(({ what }) => what === 'W1 p99 ms')).toMatchObject({ value: 9, met: true });
  expect(
    verdicts(PEER_BOUNDS, [result('restante', 'W2', { deliveredPerSec: 3_999 })]).find(
      ({ target }) => target === '≥ 4,000',
    ),
  ).toMatchObject({ met: false });
});

test('no verdict where the reference did not run', () => {
  const alone = run.results.filter(({ system }) => system === 'restante');
  expect(verdicts(PEER_BOUNDS, alone).find(({ what }) => what === 'W1 p50 ms')?.met).toBeUndefined();
});

test('draws one bar a system that has the figure', () => {
  const svg = plot(run);
  expect(svg.match(/<rect x=/g)).toHaveLength(4);
  expect(svg).toContain('>restante<');
  expect(svg).not.toContain('nats');
  expect(svg).not.toContain('NaN');
});

test('shows the windows of a soak, and what grows', () => {
  const series = [1, 2, 3, 40].map((p50Ms, i) => ({
    minute: i,
    p50Ms,
    p99Ms: 9,
    'rss.ours.a': 2 ** 20,
    'rss.ours.b': 2 ** 21,
  }));
  const text = tables({ machine, results: [result('restante', 'soak', { growing: 1 }, { round: 1, series })] });
  expect(text).toContain('| minute | p50 ms | p99 ms | RSS ours MiB |');
  expect(text).toContain('| 3 | 40 | 9 | 3 |');
  expect(text).toContain('| live p50, ms | 1 | 40 | 1.6 | **grows** |');
  expect(text).toContain('| RSS of b, MiB | 2 | 2 | 18.2 | flat |');
});
