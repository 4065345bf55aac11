import { coursesOf, type Sample, scaled } from '../flatness.ts';
import type { Result } from '../result.ts';
import { format } from './aggregate.ts';
import { row } from './row.ts';

const KIB = 1024;
const MIB = 2 ** 20;
const COLUMNS: readonly { title: string; of: (sample: Sample) => number | undefined }[] = [
  { title: 'minute', of: ({ minute }) => minute },
  { title: 'delivered/s', of: ({ deliveredPerSec }) => deliveredPerSec },
  { title: 'p50 ms', of: ({ p50Ms }) => p50Ms },
  { title: 'p99 ms', of: ({ p99Ms }) => p99Ms },
  { title: 'return p50 ms', of: ({ return50Ms }) => return50Ms },
  { title: 'RSS ours MiB', of: (sample) => rssMiB(sample, 'rss.ours.') },
  { title: 'RSS engines MiB', of: (sample) => rssMiB(sample, 'rss.engine.') },
  { title: 'RSS servers MiB', of: (sample) => rssMiB(sample, 'rss.server.') },
  { title: 'stalled users', of: ({ stalled }) => stalled },
  { title: 'not delivered', of: ({ backlog }) => backlog },
  { title: 'not stored', of: ({ unstored }) => unstored },
  { title: 'inbox KiB', of: ({ inboxBytes }) => scaled(inboxBytes, KIB) },
  { title: 'Redis MiB', of: ({ redisBytes }) => scaled(redisBytes, MIB) },
  { title: 'its claims MiB', of: ({ claimBytes }) => scaled(claimBytes, MIB) },
];

/** Of each soak, the windows, then what came of each quantity; nothing of other workloads. */
export function soakTables(results: readonly Result[]): string[] {
  return results.flatMap(({ system, round, series }) =>
    series === undefined ? [] : ['', `${system} #${round}`, '', ...windows(series), '', ...courses(series)],
  );
}

function windows(series: readonly Sample[]): string[] {
  const columns = COLUMNS.filter(({ of }) => series.some((sample) => of(sample) !== undefined));
  return [
    row(columns.map(({ title }) => title)),
    row(columns.map(() => '---')),
    ...series.map((sample) => row(columns.map(({ of }) => format(of(sample))))),
  ];
}

function courses(series: readonly Sample[]): string[] {
  return [
    row(['median of a quarter', 'first', 'last', 'flat up to', 'verdict']),
    row(['---', '---', '---', '---', '---']),
    ...coursesOf(series).map(({ what, first, last, most, flat }) =>
      row([what, ...[first, last, most].map((value) => format(value)), flat ? 'flat' : '**grows**']),
    ),
  ];
}

function rssMiB(sample: Sample, prefix: string): number | undefined {
  const keys = Object.keys(sample).filter((key) => key.startsWith(prefix));
  return keys.length === 0
    ? undefined
    : scaled(
        keys.reduce((sum, key) => sum + (sample[key] as number), 0),
        MIB,
      );
}
