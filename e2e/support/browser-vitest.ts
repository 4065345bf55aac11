/** The few of vitest's functions that the store suite uses, for a page: vitest itself does not run there. */
type Test = { name: string; run: () => Promise<void> };
export type Result = { name: string; error?: string };

const tests: Test[] = [];

export function describe(_name: string, register: () => void): void {
  register();
}

export function it(name: string, run: () => Promise<void>): void {
  tests.push({ name, run });
}

/** Runs what was registered, one after another. */
export async function results(): Promise<Result[]> {
  const all: Result[] = [];
  for (const { name, run } of tests) {
    try {
      await run();
      all.push({ name });
    } catch (error) {
      all.push({ name, error: String((error as Error).stack ?? error) });
    }
  }
  return all;
}

export function expect(actual: unknown) {
  const must = (isSo: boolean, what: string): void => {
    if (!isSo) throw new Error(`expected ${JSON.stringify(actual)} ${what}`);
  };
  return {
    toBe: (wanted: unknown) => must(Object.is(actual, wanted), `to be ${String(wanted)}`),
    toEqual: (wanted: unknown) => must(canonical(actual) === canonical(wanted), `to equal ${JSON.stringify(wanted)}`),
    toBeUndefined: () => must(actual === undefined, 'to be undefined'),
    toHaveLength: (length: number) => must((actual as unknown[]).length === length, `to have length ${length}`),
    rejects: {
      async toThrow(wanted: string | RegExp): Promise<void> {
        const message = await (actual as Promise<unknown>).then(
          () => undefined,
          (error: Error) => `${error.name} ${error.message}`,
        );
        const matches =
          message !== undefined && (typeof wanted === 'string' ? message.includes(wanted) : wanted.test(message));
        if (!matches) throw new Error(`expected a rejection with ${wanted}, got ${message ?? 'none'}`);
      },
    },
  };
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
