import type { BrokenKind } from './checker.ts';
import type { ShapeName } from './config.ts';
import type { FaultClass } from './faults.ts';
import type { RuleName } from './rules.ts';

/**
 * Where the absence of a rule shows: under these faults, in this shape, a seed from `from` on breaks one of `kinds`, which
 * with the rule it does not. `guard`: another rule that alone would heal it; it is off in both runs.
 */
export type RuleCase = {
  rule: RuleName;
  faults: readonly FaultClass[];
  shape: ShapeName;
  from: number;
  kinds: readonly BrokenKind[];
  guard?: RuleName;
};
