import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { NEMESES } from '../nemeses/all.ts';
import { MUTANTS, mutate } from './mutants.ts';

const ROOT = new URL('../../../', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, ROOT), 'utf8');

describe('the mutants', () => {
  test('are ten at least, each by a name of its own', () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    expect(MUTANTS.length).toBeGreaterThanOrEqual(10);
  });

  test.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))('%s: still fits what it changes', (_, mutant) => {
    const text = read(mutant.file);
    expect(mutate(mutant, text)).not.toBe(text);
  });

  test.each(MUTANTS.map((mutant) => [mutant.name, mutant.caught] as const))('%s: names what there is', (_, caught) => {
    if ('test' in caught) expect(read(caught.test)).toContain(`('${caught.title}`);
    else for (const nemesis of caught.run.nemeses) expect(NEMESES.map(({ name }) => name)).toContain(nemesis);
  });

  test('one whose text is gone, or is there twice, says so', () => {
    const mutant = { ...MUTANTS[0]!, from: 'x', to: 'y' };
    expect(() => mutate(mutant, 'a')).toThrow(/0 times/);
    expect(() => mutate(mutant, 'x x')).toThrow(/2 times/);
  });
});
