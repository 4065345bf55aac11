import type { Result } from '../result.ts';
import { clean, format, spreadOf } from './aggregate.ts';

/** A figure that was promised, what it is, and whether that is enough. */
export type Verdict = { what: string; target: string; value: number | undefined; met: boolean | undefined };

type Bound = {
  what: string;
  workload: string;
  key: string;
  /** A plain bound, or one relative to the do-it-yourself stack in the same run. */
  most?: number;
  least?: number;
  times?: number;
  direction?: 'most' | 'least';
};

const OURS = 'restante';
const REFERENCE = 'socketio-rabbitmq';

/** What the first pipeline had to reach, alone on two cores with its engines. */
export const OWN_BOUNDS: readonly Bound[] = [
  { what: 'live message, p50 ms', workload: 'W1', key: 'p50Ms', most: 4 },
  { what: 'live message, p95 ms', workload: 'W1', key: 'p95Ms' },
  { what: 'live message, p99 ms', workload: 'W1', key: 'p99Ms', most: 25 },
  { what: '50 queued, drained and acked, ms', workload: 'W3', key: 'n50.ackedMs', most: 25 },
  { what: '5,000 queued, drained and acked, ms', workload: 'W3', key: 'n5000.ackedMs', most: 800 },
  { what: 'sustained, msg/s', workload: 'W2', key: 'deliveredPerSec', least: 1_500 },
  { what: 'Redis, bytes per queued 300-byte message', workload: 'W5b', key: 'redisBytesPerMessage', most: 500 },
  { what: '  of these in the inbox', workload: 'W5b', key: 'inboxBytesPerMessage' },
  { what: 'gateway, KiB per idle connection of 5,000', workload: 'W5a', key: 'gatewayKibPerConnection', most: 12 },
];

/** What the comparison must show. */
export const PEER_BOUNDS: readonly Bound[] = [
  { what: 'W1 p50 ms', workload: 'W1', key: 'p50Ms', times: 2.5, direction: 'most' },
  { what: 'W1 p99 ms', workload: 'W1', key: 'p99Ms', times: 3, direction: 'most' },
  { what: 'W2 msg/s', workload: 'W2', key: 'deliveredPerSec', least: 4_000 },
  { what: 'W2 msg/s', workload: 'W2', key: 'deliveredPerSec', times: 0.35, direction: 'least' },
  { what: 'W2 CPU µs a message, all our processes', workload: 'W2', key: 'cpu.ours', most: 200 },
  { what: 'W3 50 acked, ms', workload: 'W3', key: 'n50.ackedMs', times: 1, direction: 'most' },
  { what: 'W3 5,000 acked, ms', workload: 'W3', key: 'n5000.ackedMs', times: 1, direction: 'most' },
  { what: 'W3 50,000 acked, ms', workload: 'W3', key: 'n50000.ackedMs', most: 1_600 },
  { what: 'W4 all, ms', workload: 'W4', key: 'allMs', times: 1, direction: 'most' },
  { what: 'W4 user p99, ms', workload: 'W4', key: 'drain99Ms', times: 1, direction: 'most' },
  { what: 'W5 gateway KiB per idle connection of 5,000', workload: 'W5a', key: 'gatewayKibPerConnection', most: 8 },
  { what: 'W5 connections held', workload: 'W5a20k', key: 'connected', least: 20_000 },
  { what: 'W5 Redis bytes per queued message', workload: 'W5b', key: 'redisBytesPerMessage', most: 450 },
  {
    what: 'W5 Redis bytes per queued message of natural text',
    workload: 'W5c',
    key: 'redisBytesPerMessage',
    most: 250,
  },
];

/** The median of our runs against each bound; a bound whose workload or reference did not run has no verdict. */
export function verdicts(bounds: readonly Bound[], results: readonly Result[]): Verdict[] {
  return bounds.map((bound) => {
    const value = figure(bound, OURS, results);
    const reference = bound.times === undefined ? undefined : figure(bound, REFERENCE, results);
    const limit =
      bound.times === undefined
        ? (bound.most ?? bound.least)
        : reference === undefined
          ? undefined
          : reference * bound.times;
    const least = bound.direction === 'least' || bound.least !== undefined;
    const sign = least ? '≥' : '≤';
    const plain = limit === undefined ? '' : `${sign} ${format(limit)}`;
    return {
      what: bound.what,
      target:
        bound.times === undefined
          ? plain
          : `${sign} ${bound.times} × ${REFERENCE}${limit === undefined ? '' : ` = ${format(limit)}`}`,
      value,
      met: value === undefined || limit === undefined ? undefined : least ? value >= limit : value <= limit,
    };
  });
}

function figure({ workload, key }: Bound, system: string, results: readonly Result[]): number | undefined {
  const runs = clean(results).filter(
    (result) => result.workload === workload && result.system === system && result.variant === undefined,
  );
  if (key !== 'cpu.ours') return spreadOf(runs, key)?.median;
  const micros = runs.map((result) => result.cpu?.cpuMicros.ours).filter((value) => value !== undefined);
  return micros.length === 0 ? undefined : micros.reduce((sum, value) => sum + value, 0) / micros.length;
}

export function verdictTable(list: readonly Verdict[]): string {
  const lines = list.map(
    ({ what, target, value, met }) =>
      `| ${what} | ${format(value)} | ${target} | ${met === undefined ? '' : met ? 'yes' : '**no**'} |`,
  );
  return ['| figure (median) | measured | target | met |', '| --- | --- | --- | --- |', ...lines].join('\n');
}
