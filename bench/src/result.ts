import type { Costs } from './cost-meter.ts';
import type { CpuFigures } from './cpu-meter.ts';
import type { Sample } from './flatness.ts';
import type { Counters } from './recorder.ts';

/** What one run of one workload against one system gave. */
export type Result = {
  system: string;
  workload: string;
  durability?: string;
  versions?: Record<string, string>;
  startMs?: number;
  figures?: Record<string, number>;
  cpu?: CpuFigures;
  costs?: Costs;
  counters?: Counters;
  /** What a soak saw, window by window. */
  series?: Sample[];
  note?: string;
  error?: string;
  unhandled?: number;
  round?: number;
  /** What of a sweep (W6) this is, as `gateways=2`. */
  variant?: string;
  wallSeconds?: number;
  load1Before?: number;
};

export type Machine = {
  date: string;
  node: string;
  cores: number;
  cpu: string;
  memoryGiB: number;
  kernel: string;
  openFiles: string;
};
export type Run = { machine: Machine; results: Result[] };
