import type { Result } from '../result.ts';
import { median } from '../statistics.ts';

/** A figure over the rounds. */
export type Spread = { min: number; median: number; max: number };

const DERIVED: Record<string, (result: Result) => number | undefined> = {
  'cpu.ours': ({ cpu }) => cpu?.cpuMicros.ours,
  // Who tells no rate of storing has stored a message by the time that it is accepted.
  sustainedPerSec: ({ figures }) => {
    const delivered = figures?.deliveredPerSec;
    return delivered === undefined ? undefined : Math.min(delivered, figures?.storedPerSec ?? delivered);
  },
};

/** As it was measured, or made of what was; undefined where a run has none. */
export function figureOf(result: Result, key: string): number | undefined {
  const value = DERIVED[key]?.(result) ?? result.figures?.[key];
  // NaN is null in a file of JSON.
  return value === null || Number.isNaN(value) ? undefined : value;
}

export function spreadOf(results: readonly Result[], key: string): Spread | undefined {
  const values = results.map((result) => figureOf(result, key)).filter((value) => value !== undefined);
  return values.length === 0
    ? undefined
    : { min: Math.min(...values), median: median(values), max: Math.max(...values) };
}

/** Results by system (and variant, where there are several), in the order of their first. */
export function bySystem(results: readonly Result[]): Map<string, Result[]> {
  const groups = new Map<string, Result[]>();
  for (const result of results) {
    const name = result.variant === undefined ? result.system : `${result.system} ${result.variant}`;
    groups.set(name, [...(groups.get(name) ?? []), result]);
  }
  return groups;
}

export const clean = (results: readonly Result[]): Result[] => results.filter((result) => result.error === undefined);

export function format(value: number | undefined): string {
  if (value === undefined) return '–';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Math.round(value * 100) / 100);
}

export function formatSpread(spread: Spread | undefined): string {
  if (spread === undefined) return '–';
  return spread.min === spread.max
    ? format(spread.median)
    : `${format(spread.min)} / ${format(spread.median)} / ${format(spread.max)}`;
}
