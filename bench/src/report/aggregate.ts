import type { Result } from '../result.ts';
import { median } from '../statistics.ts';

/** A figure over the rounds. */
export type Spread = { min: number; median: number; max: number };

export function spreadOf(results: readonly Result[], key: string): Spread | undefined {
  const values = results
    .map((result) => result.figures?.[key])
    .filter((value) => value !== undefined && value !== null && !Number.isNaN(value)) as number[];
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
