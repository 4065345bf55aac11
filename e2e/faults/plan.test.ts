import { expect, test } from 'vitest';
import { NEMESES } from './nemeses/all.ts';
import { readOptions, UsageError } from './options.ts';
import { type PlanOptions, plan } from './plan.ts';

const names = NEMESES.map(({ name }) => name);
const options = (more: Partial<PlanOptions> = {}): PlanOptions => ({
  ...{ seed: 7, durationMs: 120_000, nemeses: names, gateways: 2, prefix: '', membersChange: true, sendsPerSecond: 20 },
  ...more,
});

test('the same seed plans the same, another something else', () => {
  expect(plan(options())).toEqual(plan(options()));
  expect(plan(options({ seed: 8 }))).not.toEqual(plan(options()));
});

test.each([1, 2, 3, 4, 5])(
  'seed %d: ids are unique, every nemesis strikes, repeats follow what they repeat',
  (seed) => {
    const { steps, faults } = plan(options({ seed }));
    const sent = new Map(steps.flatMap((step) => (step.do === 'send' ? [[step.message.id, step.atMs] as const] : [])));
    const count = steps.filter((step) => step.do === 'send').length;
    expect(sent.size).toBe(count);
    for (const step of steps) if (step.do === 'repeat') expect(sent.get(step.id)).toBeLessThanOrEqual(step.atMs);
    expect(new Set(faults.map(({ nemesis }) => nemesis))).toEqual(new Set(names));
    expect(steps.every((step, index) => index === 0 || step.atMs >= steps[index - 1]!.atMs)).toBe(true);
    const kinds = ['connect', 'leave', 'send', 'repeat', 'delete', 'change-members', 'sync', 'nack', 'ack-oddly'];
    expect([...new Set(steps.map((step) => step.do))]).toEqual(expect.arrayContaining(kinds));
  },
);

test('a short run has every nemesis too, and one that changes no members none of these steps', () => {
  const { faults } = plan(options({ durationMs: 20_000 }));
  expect(new Set(faults.map(({ nemesis }) => nemesis)).size).toBe(names.length);
  expect(plan(options({ membersChange: false })).steps.some((step) => step.do === 'change-members')).toBe(false);
});

test.each([
  [['--seed', 'x'], '--seed x: must be an integer'],
  [['--minutes', '0'], '--minutes 0: must be a number'],
  [['--nemeses', 'rain'], '--nemeses rain: must be some of'],
  [['--target', 'here'], "--target here: give a gateway's URL"],
  [['--target', 'http://127.0.0.1:8080'], '--target needs --secret'],
  [['--target', 'https://chat.example', '--secret', 's'], 'say --nemeses none'],
  [['--nonsense'], "'--nonsense'"],
])('%j is refused by name', (args, message) => {
  expect(() => readOptions(args, {})).toThrow(UsageError);
  expect(() => readOptions(args, {})).toThrow(message);
});

test('defaults are seed 1, two minutes, everything; of a deployment only what clients can do', () => {
  expect(readOptions([], {})).toMatchObject({ seed: 1, minutes: 2, nemeses: names, unhurt: false, targets: [] });
  const target = readOptions(['--target', 'http://127.0.0.1:8080', '--secret', 's'], {});
  expect(target).toMatchObject({ nemeses: names.filter((name) => name.startsWith('clients-')) });
  const unhurt = readOptions(['--target', 'https://chat.example', '--secret', 's', '--nemeses', 'none'], {});
  expect(unhurt).toMatchObject({ nemeses: [], unhurt: true });
});
