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
  expect(text).toContain('| restante | 3/3 | 1 / 2 / 3 | 9 / 9 / 12 |');
  expect(text).toContain('| nats | 0/1 |');
  expect(text).toContain('nats / ended');
});

test('tells the machine, what was met and what missed, and the versions of all systems', () => {
  const versioned = (system: string, p50Ms: number, versions: Record<string, string>) =>
    result(system, 'W1', { p50Ms, p99Ms: 9 }, { versions, durability: `by ${system}` });
  const text = tables({
    machine,
    results: [
      versioned('restante', 2, { restante: 'abc', kafka: '4.1.0' }),
      versioned('restante', 3, { restante: 'abc', kafka: '4.1.0' }),
      versioned('socketio-rabbitmq', 1, { 'socket.io': '4.8', rabbitmq: '3.10' }),
      versioned('nats', 1, { nats: '2.12' }),
    ],
  });
  expect(text).toContain('2026-11-21, 2 × c, 24 GiB, Linux, node v20');
  expect(text).toContain('| W1 p50 ms | 2 / 2.5 / 3 | ≤ 2.5 × socketio-rabbitmq = 2.5 | met |');
  expect(text).toContain('- restante: restante abc, kafka 4.1.0. Accepted: by restante.');
  expect(text).toContain('- socketio-rabbitmq: socket.io 4.8, rabbitmq 3.10. Accepted: by socketio-rabbitmq.');
  expect(text).toContain('- nats: nats 2.12. Accepted: by nats.');
  const missed = tables({ machine, results: [versioned('restante', 3, {}), versioned('socketio-rabbitmq', 1, {})] });
  expect(missed).toContain('| W1 p50 ms | 3 | ≤ 2.5 × socketio-rabbitmq = 2.5 | **missed** |');
});

const judged = (results: readonly Result[], what: string, target = '') =>
  verdicts(PEER_BOUNDS, results).find((verdict) => verdict.what.includes(what) && verdict.target.includes(target));

test('judges medians against plain bounds and against the reference of the same run', () => {
  expect(verdicts(OWN_BOUNDS, run.results).find(({ what }) => what.includes('p50'))).toMatchObject({
    measured: { median: 2 },
    met: true,
  });
  expect(judged(run.results, 'W1 p50 ms')).toMatchObject({
    measured: { min: 1, median: 2, max: 3 },
    met: true,
    target: '≤ 2.5 × socketio-rabbitmq = 2.5',
  });
  expect(judged(run.results, 'W1 p99 ms')).toMatchObject({ measured: { median: 9 }, met: true });
});

test('what is sustained is stored and delivered: the slower of the two, of each round', () => {
  const w2 = (deliveredPerSec: number, storedPerSec: number) =>
    result('restante', 'W2', { deliveredPerSec, storedPerSec });
  expect(judged([w2(4_500, 3_999)], 'W2 msg/s', '4,000')).toMatchObject({ measured: { median: 3_999 }, met: false });
  expect(judged([w2(3_999, 4_500)], 'W2 msg/s', '4,000')).toMatchObject({ measured: { median: 3_999 }, met: false });
  expect(judged([w2(4_000, 4_001)], 'W2 msg/s', '4,000')).toMatchObject({ measured: { median: 4_000 }, met: true });
  const peer = result('socketio-rabbitmq', 'W2', { deliveredPerSec: 10_000, acceptedPerSec: 10_100 });
  expect(judged([w2(9_000, 3_400), peer], 'W2 msg/s', '0.35')).toMatchObject({
    met: false,
    target: '≥ 0.35 × socketio-rabbitmq = 3,500',
  });
  expect(tables({ machine, results: [w2(4_500, 3_999)] })).toContain('| restante | 1/1 | 3,999 | 4,500 | 3,999 |');
});

test('a return to 50,000 is flat where our processes grow by no more than the allowance', () => {
  const w3 = (oursGrowthMiB: number) =>
    result('restante', 'W3', {
      'n50000.ackedMs': 1_000,
      'n50000.rssGrowthMiB': 90,
      'n50000.oursGrowthMiB': oursGrowthMiB,
    });
  expect(judged([w3(64)], 'grow by')).toMatchObject({ met: true, target: '≤ 64' });
  expect(judged([w3(64.1)], 'grow by')?.met).toBe(false);
  expect(tables({ machine, results: [w3(12)] })).toContain('| 1,000 | 90 | 12 |');
});

test('20,000 connections are judged by what each takes, and by how many had a message at the end', () => {
  const w5 = (gatewayKibPerConnection: number, held: number) =>
    result('restante', 'W5a20k', { gatewayKibPerConnection, connected: 20_000, held });
  expect(judged([w5(8.1, 20_000)], 'connection of 20,000')?.met).toBe(false);
  expect(judged([w5(8, 20_000)], 'connection of 20,000')?.met).toBe(true);
  expect(judged([w5(8, 19_999)], 'connections held')?.met).toBe(false);
  expect(judged([w5(8, 20_000)], 'connections held')?.met).toBe(true);
});

test('no verdict where the reference did not run, a missed one where none of our runs came through', () => {
  const alone = run.results.filter(({ system }) => system === 'restante');
  expect(judged(alone, 'W1 p50 ms')).toMatchObject({ met: undefined, target: expect.stringContaining('not measured') });
  const failed: Result[] = [{ system: 'restante', workload: 'W2', error: 'the acks of u1 were not taken' }];
  expect(judged(failed, 'W2 msg/s', '4,000')).toMatchObject({ measured: undefined, met: false });
  expect(tables({ machine, results: failed })).toContain('| runs that failed, of all workloads | 1 | 0 | **missed** |');
});

test('a run that lost something is told beside the figures', () => {
  const text = (lost: number) =>
    tables({ machine, results: [result('restante', 'W4', { allMs: 1 }, { counters: { ...counters, lost } })] });
  expect(text(0)).toMatch(/messages lost.* \| 0 \| 0 \| met \|/);
  expect(text(2)).toMatch(/messages lost.* \| 2 \| 0 \| \*\*missed\*\* \|/);
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
