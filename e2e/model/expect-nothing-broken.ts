import { describe, expect, test } from 'vitest';
import { SHAPES } from './config.ts';
import { type FaultCase, SEEDS } from './fault-cases.ts';
import { run } from './run.ts';

/** Runs the seeds of each case in each shape, with every rule on. */
export function expectNothingBroken(title: string, cases: readonly FaultCase[]): void {
  describe(title, () => {
    const named = cases.map((faultCase) => ({ ...faultCase, name: faultCase.faults.join(' + ') || 'no fault' }));
    test.each(named)('$name', { timeout: 120_000 }, ({ faults, evidence }) => {
      const broken: string[] = [];
      const happened = new Map<string, number>();
      for (const [shape, seeds] of SEEDS) {
        for (let seed = 1; seed <= seeds; seed++) {
          const verdict = run({ seed, shape: SHAPES[shape], faults, without: [], trace: false });
          for (const { kind, text } of verdict.broken)
            broken.push(`shape=${shape} faults=${faults} seed=${seed}: ${kind}: ${text.slice(0, 300)}`);
          for (const [what, count] of verdict.tally) happened.set(what, (happened.get(what) ?? 0) + count);
        }
      }
      expect(broken.slice(0, 3)).toEqual([]);
      for (const what of ['message', ...evidence])
        expect(happened.get(what) ?? 0, `${what} happened`).toBeGreaterThan(10);
    });
  });
}
