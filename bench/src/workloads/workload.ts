import type { CpuFigures } from '../cpu-meter.ts';
import type { Driver } from '../driver.ts';
import type { Sample } from '../flatness.ts';
import type { Counters } from '../recorder.ts';
import type { ServerHost } from '../server-host.ts';

export type Params = Record<string, number | string | number[] | undefined>;
export type Outcome = {
  figures: Record<string, number>;
  cpu?: CpuFigures;
  counters: Counters;
  series?: Sample[];
  note?: string;
};
/** What takes long shows a line of `progress` now and then. */
export type Workload = (
  driver: Driver,
  host: ServerHost,
  params: Params,
  progress: (line: string) => void,
) => Promise<Outcome>;

export function numberOf(params: Params, name: string, fallback: number): number {
  const value = params[name];
  return typeof value === 'number' ? value : fallback;
}
