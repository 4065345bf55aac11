import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { rewritten } from './docs.ts';

const page = readFileSync(new URL('../../docs/scale.md', import.meta.url), 'utf8');

test('docs/scale.md shows three sizes as the program computes them (node capacity/dist/write-docs.js brings it up to date)', () => {
  const { markdown, blocks } = rewritten(page);
  expect(blocks).toBeGreaterThanOrEqual(3);
  expect(page).toBe(markdown);
});

test('a page that is out of date is seen', () => {
  const old = '```text\n$ npm run capacity -- --users 100\nold\n```';
  expect(rewritten(old).markdown).toContain('What it takes');
  expect(rewritten(old).markdown).not.toContain('old\n');
});
