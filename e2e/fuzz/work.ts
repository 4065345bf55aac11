import { MAX_INPUT_BYTES } from './mutate.ts';

/** What one worker is to do, and where it writes what it is at: the parent reads that when the worker hangs or has no memory left. */
export type Work = {
  targets: string;
  /** The same before branches were counted: its lines are those that counters speak of. */
  plain: string;
  name: string;
  forMs: number;
  seed: number;
  corpus: string[];
  shared: SharedArrayBuffer;
};
export type Report =
  | { t: 'found'; input: string; error: string }
  | { t: 'kept'; input: string }
  | { t: 'done'; executions: number; reached: number; of: number; missed: string[] };
/** Of `shared`: executions begun, length of the input that is at work, then the input. */
export const SHARED_HEAD = 8;
export const SHARED_BYTES = SHARED_HEAD + MAX_INPUT_BYTES;
