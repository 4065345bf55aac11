import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** docs/guarantees.md names tests: each must be there, in the file that it names. */
const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const page = read('docs/guarantees.md');
const named = [...page.matchAll(/`([\w./-]+\.test\.ts)`: ((?:"[^"]+"(?:, )?)+)/g)].flatMap(
  ([, file = '', names = '']) => [...names.matchAll(/"([^"]+)"/g)].map(([, name = '']) => ({ file, name })),
);

test.each(named)('$file has a test that begins with $name', ({ file, name }) => {
  expect(/(?:it|test)(?:\.each\([\s\S]*?\))?\(\s*['"`]/.test(read(file))).toBe(true);
  expect([`'${name}`, `"${name}`, `\`${name}`].some((begins) => read(file).includes(begins))).toBe(true);
});

test('every invariant and every decision that protects a message has a test', () => {
  const rows = page.split('\n').filter((line) => /^\| (\d|PROTOCOL)/.test(line));
  expect(rows.filter((row) => !row.includes('.test.ts`: "') && !row.includes('as invariant'))).toEqual([]);
  const numbers = new Set(rows.map((row) => Number(/^\| (\d+)/.exec(row)?.[1])));
  for (const number of [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]) expect(numbers).toContain(number);
});
