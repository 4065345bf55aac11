import { describe, expect, test } from 'vitest';
import type { BrokenKind } from './checker.ts';
import { SHAPES } from './config.ts';
import { RULE_CASES, type RuleCase } from './rule-cases.ts';
import { RULE_NAMES, type RuleName } from './rules.ts';
import { run } from './run.ts';

const MOST_SEEDS = 80;

function brokenKinds({ faults, shape }: RuleCase, seed: number, without: readonly RuleName[]): BrokenKind[] {
  return run({ seed, shape: SHAPES[shape], faults, without, trace: false }).broken.map(({ kind }) => kind);
}

/** @returns the first seed that breaks one of the kinds without the rule, and none of them with it. */
function firstSeedThatShows(ruleCase: RuleCase): number | undefined {
  const { rule, from, kinds, without = undefined } = ruleCase;
  const others = without === undefined ? [] : [without];
  for (let seed = from; seed < from + MOST_SEEDS; seed++) {
    const found = brokenKinds(ruleCase, seed, [rule, ...others]).filter((kind) => kinds.includes(kind));
    if (found.length === 0) continue;
    const anyway = brokenKinds(ruleCase, seed, others);
    if (found.some((kind) => !anyway.includes(kind))) return seed;
  }
  return undefined;
}

describe('a rule that is switched off is caught', () => {
  test.each(RULE_CASES.map((ruleCase) => ({ rule: ruleCase.rule, under: ruleCase.faults.join(' + '), ruleCase })))(
    '$rule, under $under',
    { timeout: 60_000 },
    ({ ruleCase }) => {
      expect(firstSeedThatShows(ruleCase)).toBeDefined();
    },
  );

  test('every rule has a case', () => {
    expect(RULE_CASES.map(({ rule }) => rule).sort()).toEqual([...RULE_NAMES].sort());
  });
});

describe('a run', () => {
  test('is the same for the same seed', () => {
    const config = {
      seed: 7,
      shape: SHAPES.full,
      faults: ['failover', 'svccrash', 'http'],
      without: [],
      trace: true,
    } as const;
    expect(run(config).trace).toEqual(run(config).trace);
    expect(run({ ...config, seed: 8 }).trace).not.toEqual(run(config).trace);
  });
});
