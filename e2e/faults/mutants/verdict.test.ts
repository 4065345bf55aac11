import { expect, test } from 'vitest';
import type { Catcher } from './mutants.ts';
import { Controls, judge, type Wrong } from './verdict.ts';

const byRun = (nemeses: string[], more: object = {}): Catcher => ({ run: { nemeses, ...more }, as: ['lost'] });
const byTest: Catcher = { test: 'a.int.test.ts', title: 'is kept' };
const LOST = { what: 'lost', detail: 'message m-1' };

/** What is wrong with the services, and with a mutant of them. */
const judged = (caught: Catcher, without: Wrong[], withMutant: Wrong[]) =>
  judge(caught, new Controls(async () => without), async () => withMutant);

test('a mutant is caught by what is expected of it alone', async () => {
  expect(await judged(byRun([]), [], [LOST])).toEqual({ is: 'caught', by: '1 times: lost: message m-1' });
  expect(await judged(byRun([]), [], [])).toEqual({ is: 'not caught', instead: undefined });
  expect(await judged(byRun([]), [], [{ what: 'not settled', detail: 'it lags' }])).toEqual({
    is: 'not caught',
    instead: 'not settled: it lags',
  });
  expect(await judged(byTest, [], [{ what: 'what was sent is kept', detail: 'a.int.test.ts' }])).toMatchObject({
    is: 'caught',
  });
  expect(await judged(byTest, [], [{ what: 'another', detail: 'a.int.test.ts' }])).toMatchObject({ is: 'not caught' });
});

test.each([byRun([]), byTest])(
  'there is no verdict where anything is wrong without the mutant too, and the mutant is not run: %j',
  async (caught) => {
    const controls = new Controls(async () => [{ what: 'not settled', detail: 'it lags' }]);
    const verdict = await judge(caught, controls, () => Promise.reject(new Error('the mutant was run')));
    expect(verdict).toEqual({ is: 'no verdict', why: 'without it: not settled: it lags' });
  },
);

test('each way of running has one control of its own', async () => {
  const ways: Catcher[] = [];
  const controls = new Controls(async (caught) => {
    ways.push(caught);
    return [];
  });
  const each = [
    ...[byRun(['a']), byRun(['b']), byRun(['a'], { seed: 2 }), byRun(['a'], { settings: { LEASE_MS: '1' } }), byTest],
    { ...byTest, test: 'b.int.test.ts' },
  ];
  for (const caught of [...each, ...each, byRun(['a'], { seed: 1 }), { ...byTest, title: 'is gone' }])
    await judge(caught, controls, async () => []);
  expect(ways).toEqual(each);
});
