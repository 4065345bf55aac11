import { median } from './statistics.ts';

/** What a soak saw in one window: figures by name; `rss.<group>.<process>` is memory in use. */
export type Sample = Record<string, number>;

/** How a quantity went, from the first quarter of the samples to the last: medians, and the most that still is flat. */
export type Course = { what: string; first: number; last: number; most: number; flat: boolean };

const QUARTERS = 4;
/** What a quantity may grow by and be flat, beside its allowance: for what is small moves by more than this by itself. */
const GROWTH = 1.1;
const KIB = 1024;
const MIB = 2 ** 20;
const RSS_ALLOWANCE_MIB = 16;

type Quantity = { what: string; allowance: number; of: (sample: Sample) => number | undefined };

const QUANTITIES: readonly Quantity[] = [
  { what: 'live p50, ms', allowance: 0.5, of: ({ p50Ms }) => p50Ms },
  { what: 'live p99, ms', allowance: 5, of: ({ p99Ms }) => p99Ms },
  { what: 'return to a backlog p50, ms', allowance: 5, of: ({ return50Ms }) => return50Ms },
  { what: 'accepted, not delivered', allowance: 50, of: ({ backlog }) => backlog },
  { what: 'accepted, not stored', allowance: 50, of: ({ unstored }) => unstored },
  { what: 'inbox lists, KiB', allowance: 64, of: ({ inboxBytes }) => scaled(inboxBytes, KIB) },
  { what: 'Redis less the claims, MiB', allowance: 2, of: (sample) => lessClaims(sample.redisBytes, sample) },
];

/** Claims are kept for days, so they grow with the messages: what is left without them is to be flat. */
function lessClaims(bytes: number | undefined, { claimBytes = 0 }: Sample): number | undefined {
  return scaled(bytes === undefined ? undefined : bytes - claimBytes, MIB);
}

function rssQuantity(key: string, claimed: boolean): Quantity {
  const name = key.split('.').at(-1) as string;
  return name === 'redis' && claimed
    ? {
        what: 'RSS of redis less the claims, MiB',
        allowance: RSS_ALLOWANCE_MIB,
        of: (sample) => lessClaims(sample[key], sample),
      }
    : { what: `RSS of ${name}, MiB`, allowance: RSS_ALLOWANCE_MIB, of: (sample) => scaled(sample[key], MIB) };
}

export const scaled = (value: number | undefined, unit: number): number | undefined =>
  value === undefined ? undefined : value / unit;

/** The course of each quantity that was sampled. */
export function coursesOf(series: readonly Sample[]): Course[] {
  const first = series[0] ?? {};
  const rss = Object.keys(first).filter((key) => key.startsWith('rss.'));
  return [...QUANTITIES, ...rss.map((key) => rssQuantity(key, 'claimBytes' in first))].flatMap(
    ({ what, allowance, of }) => {
      const values = series.map(of).filter((value) => value !== undefined);
      const course = courseOf(what, values, allowance);
      return course === undefined ? [] : [course];
    },
  );
}

/** @returns nothing where there are too few values for a quarter. */
export function courseOf(what: string, values: readonly number[], allowance: number): Course | undefined {
  const quarter = Math.floor(values.length / QUARTERS);
  if (quarter === 0) return undefined;
  const [first, last] = [median(values.slice(0, quarter)), median(values.slice(-quarter))];
  const most = first * GROWTH + allowance;
  return { what, first, last, most, flat: last <= most };
}
