import type { Random } from '../../model/random.ts';
import type { System } from '../system.ts';

/** @typeParam S what it needs of the system: all of it, or what can be reached of a deployment that somebody else runs */
export type Strike<S = System> = {
  system: S;
  random: Random;
  /** Aborted when the quiet begins: what is hurt is healed at once then. */
  signal: AbortSignal;
  /** To be told once the fault has really been: a nemesis that never was proves nothing. */
  happened: (detail: string) => void;
};

/** One way to hurt the system. `strike` resolves when it is healed again. */
export type Nemesis<S = System> = { name: string; about: string; strike: (strike: Strike<S>) => Promise<void> };
