import type { Result } from '../result.ts';
import { clean, format, formatSpread, type Spread, spreadOf } from './aggregate.ts';
import { row } from './row.ts';

/** A figure that was promised, what it is over the rounds, and whether its median is enough; no `met` where that cannot be told. */
export type Verdict = { what: string; target: string; measured: Spread | undefined; met: boolean | undefined };

type Bound = {
  what: string;
  workload: string;
  key: string;
  /** A plain bound, or one relative to another system in the same run: the do-it-yourself stack unless `than` names one. */
  most?: number;
  least?: number;
  times?: number;
  than?: string;
  direction?: 'most' | 'least';
};

const OURS = 'restante';
const REFERENCE = 'socketio-rabbitmq';
const SUSTAINED = 'W2 msg/s stored, delivered and acked';
/**
 * What all our processes together may grow by and be flat. 50,000 messages are 15 MB of bodies, and several times that as
 * records, objects and frames, but a process has no more of them than PREFETCH_ENTRIES a session and WINDOW_BYTES a
 * connection (MAX_WAITING_BYTES in all). What V8 lets lie before it collects is more: a young generation of 32 MiB (two
 * semi-spaces of 16) in the gateway, and as much in notification.
 */
const FLAT_MIB = 64;

/** What the first pipeline had to reach, alone on two cores with its engines. */
export const OWN_BOUNDS: readonly Bound[] = [
  { what: 'live message, p50 ms', workload: 'W1', key: 'p50Ms', most: 4 },
  { what: 'live message, p95 ms', workload: 'W1', key: 'p95Ms' },
  { what: 'live message, p99 ms', workload: 'W1', key: 'p99Ms', most: 25 },
  { what: '50 queued, drained and acked, ms', workload: 'W3', key: 'n50.ackedMs', most: 25 },
  { what: '5,000 queued, drained and acked, ms', workload: 'W3', key: 'n5000.ackedMs', most: 800 },
  { what: 'sustained, msg/s', workload: 'W2', key: 'sustainedPerSec', least: 1_500 },
  { what: 'Redis, bytes per queued 300-byte message', workload: 'W5b', key: 'redisBytesPerMessage', most: 500 },
  { what: '  of these in the inbox', workload: 'W5b', key: 'inboxBytesPerMessage' },
  { what: 'gateway, KiB per idle connection of 5,000', workload: 'W5a', key: 'gatewayKibPerConnection', most: 12 },
];

/** What the comparison must show. */
export const PEER_BOUNDS: readonly Bound[] = [
  { what: 'W1 p50 ms', workload: 'W1', key: 'p50Ms', times: 2.5, direction: 'most' },
  { what: 'W1 p99 ms', workload: 'W1', key: 'p99Ms', times: 3, direction: 'most' },
  { what: SUSTAINED, workload: 'W2', key: 'sustainedPerSec', least: 4_000 },
  { what: SUSTAINED, workload: 'W2', key: 'sustainedPerSec', times: 0.35, direction: 'least' },
  { what: 'W2 CPU µs a message, all our processes', workload: 'W2', key: 'cpu.ours', most: 200 },
  { what: 'W3 50 acked, ms', workload: 'W3', key: 'n50.ackedMs', times: 1, direction: 'most' },
  { what: 'W3 5,000 acked, ms', workload: 'W3', key: 'n5000.ackedMs', times: 1, direction: 'most' },
  { what: 'W3 50,000 acked, ms', workload: 'W3', key: 'n50000.ackedMs', most: 1_600 },
  {
    what: 'W3 50,000, most that all our processes grow by, MiB',
    workload: 'W3',
    key: 'n50000.oursGrowthMiB',
    most: FLAT_MIB,
  },
  { what: 'W4 all, ms', workload: 'W4', key: 'allMs', times: 1, direction: 'most' },
  { what: 'W4 user p99, ms', workload: 'W4', key: 'drain99Ms', times: 1, direction: 'most' },
  { what: 'W5 gateway KiB per idle connection of 5,000', workload: 'W5a', key: 'gatewayKibPerConnection', most: 8 },
  { what: 'W5 gateway KiB per idle connection of 20,000', workload: 'W5a20k', key: 'gatewayKibPerConnection', most: 8 },
  { what: 'W5 connections held', workload: 'W5a20k', key: 'held', least: 20_000 },
  { what: 'W5 Redis bytes per queued message', workload: 'W5b', key: 'redisBytesPerMessage', most: 450 },
  {
    what: 'W5 Redis bytes per queued message of natural text',
    workload: 'W5c',
    key: 'redisBytesPerMessage',
    most: 250,
  },
  { what: 'aim: W3 50 acked, ms', workload: 'W3', key: 'n50.ackedMs', times: 1, than: 'mosquitto', direction: 'most' },
  {
    what: 'aim: W3 5,000 acked, ms',
    workload: 'W3',
    key: 'n5000.ackedMs',
    times: 1,
    than: 'mosquitto',
    direction: 'most',
  },
  { what: 'aim: W4 all, ms', workload: 'W4', key: 'allMs', times: 1, than: 'centrifugo', direction: 'most' },
];

/**
 * The median of our runs against each bound whose workload ran. Where all of its runs failed the bound is missed; where what
 * it is relative to did not run there is no verdict.
 */
export function verdicts(bounds: readonly Bound[], results: readonly Result[]): Verdict[] {
  return bounds.flatMap((bound) => {
    const ran = runsOf(bound, OURS, results);
    const measured = spreadOf(clean(ran), bound.key);
    const failed = ran.length > 0 && clean(ran).length === 0;
    if (measured === undefined && !failed) return [];
    const { limit, target } = targetOf(bound, results);
    const met = failed
      ? false
      : limit === undefined || measured === undefined
        ? undefined
        : isMet(bound, measured, limit);
    return [{ what: bound.what, target, measured, met }];
  });
}

const isLeast = ({ direction, least }: Bound): boolean => direction === 'least' || least !== undefined;

const isMet = (bound: Bound, { median }: Spread, limit: number): boolean =>
  isLeast(bound) ? median >= limit : median <= limit;

function targetOf(bound: Bound, results: readonly Result[]): { limit: number | undefined; target: string } {
  const { times, than = REFERENCE, most, least, key } = bound;
  const sign = isLeast(bound) ? '≥' : '≤';
  if (times === undefined) {
    const limit = most ?? least;
    return { limit, target: limit === undefined ? '' : `${sign} ${format(limit)}` };
  }
  const reference = spreadOf(clean(runsOf(bound, than, results)), key)?.median;
  const limit = reference === undefined ? undefined : reference * times;
  return {
    limit,
    target: `${sign} ${times} × ${than}${limit === undefined ? ', not measured' : ` = ${format(limit)}`}`,
  };
}

const runsOf = ({ workload }: Bound, system: string, results: readonly Result[]): Result[] =>
  results.filter((result) => result.workload === workload && result.system === system && result.variant === undefined);

/** What no run of ours may have: figures of others would hide it, for who loses a message is done sooner. */
function faultVerdicts(results: readonly Result[]): Verdict[] {
  const ours = results.filter(({ system }) => system === OURS);
  const none = (what: string, count: number): Verdict => ({
    what,
    target: '0',
    measured: { min: count, median: count, max: count },
    met: count === 0,
  });
  return [
    none('runs that failed, of all workloads', ours.length - clean(ours).length),
    none(
      'messages lost, doubled, out of order or again after their ack, in all runs',
      clean(ours).reduce((sum, result) => sum + faultsOf(result), 0),
    ),
  ];
}

/** Messages that did not come just once, to whom they were for, as they were and in order. */
export function faultsOf({ counters }: Result): number {
  const { lost = 0, duplicated = 0, outOfOrder = 0, corrupt = 0, misrouted = 0, unknown = 0 } = counters ?? {};
  // What came again is among the doubled.
  return lost + duplicated + outOfOrder + corrupt + misrouted + unknown;
}

/** The bounds of the comparison where others ran too, those of this system alone where not; nothing where it did not run. */
export function verdictTable(results: readonly Result[]): string[] {
  if (results.every(({ system }) => system !== OURS)) return [];
  const compared = results.some(({ system }) => system !== OURS);
  const list = [...verdicts(compared ? PEER_BOUNDS : OWN_BOUNDS, results), ...faultVerdicts(results)];
  return [
    row(['figure', `${OURS}: min / median / max`, 'target of the median', 'met']),
    row(['---', '---', '---', '---']),
    ...list.map(({ what, target, measured, met }) =>
      row([what, formatSpread(measured), target, met === undefined ? '–' : met ? 'met' : '**missed**']),
    ),
    '',
  ];
}
