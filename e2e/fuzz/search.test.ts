import { createInstrumenter } from 'istanbul-lib-instrument';
import { expect, test } from 'vitest';
import { randomOf } from './mutate.ts';
import { type Counters, Coverage, Search } from './search.ts';

const COVERAGE = '__restante_planted__';
/** Each comparison is one that a changed byte may meet; all four at once none does. */
const PLANTED = `
function unlock(input) {
  if (input[0] === 0xd7)
    if (input[1] === 0x1b)
      if (input[2] === 0x9e)
        if (input[3] === 0x64) throw new Error('planted');
}
return unlock;`;
const SEED = Buffer.from('mail');
const EXECUTIONS = 300_000;

function planted() {
  const wrapped = `globalThis.unlockPlanted = (() => {${PLANTED}})();`;
  const instrumenter = createInstrumenter({ esModules: false, coverageVariable: COVERAGE, compact: true });
  const own = globalThis as unknown as Record<string, unknown>;
  delete own[COVERAGE];
  new Function(instrumenter.instrumentSync(wrapped, 'planted.js'))();
  const run = own.unlockPlanted as (input: Buffer) => void;
  return { run, coverage: new Coverage(own[COVERAGE] as Record<string, Counters>) };
}

/** @returns how many executions it took to find the bug, undefined where so many did not */
async function executionsToFind(seed: number, guided: boolean): Promise<number | undefined> {
  const { run, coverage } = planted();
  let found: number | undefined;
  const search: Search = new Search({
    run,
    random: randomOf(seed),
    // Without guidance the seed is all there is to go on from.
    reachedNew: () => (guided ? coverage.newThisTime() : search.executions === 1),
    onFound(error) {
      expect(error).toMatchObject({ message: 'planted' });
      found ??= search.executions;
    },
  });
  await search.execute(SEED);
  while (found === undefined && search.executions < EXECUTIONS) await search.next();
  return found;
}

test.each([1, 2])(
  'guided by branches a bug behind four comparisons is found, unguided it is not (seed %i)',
  async (seed) => {
    expect(await executionsToFind(seed, true)).toBeLessThan(EXECUTIONS);
    expect(await executionsToFind(seed, false)).toBeUndefined();
  },
);

test('what was not reached is told by its line, and nothing of a module in which nothing was', async () => {
  const { run, coverage } = planted();
  run(SEED);
  coverage.newThisTime();
  const { reached, of, missed } = coverage.covered();
  expect(missed.length).toBe(of - reached);
  expect(missed).toContain(PLANTED.split('\n').findIndex((line) => line.includes('0x1b')) + 1);
  run(Buffer.from([0xd7]));
  expect(coverage.newThisTime()).toBe(true);
  expect(coverage.covered().reached).toBeGreaterThan(reached);
});
