import type { Catcher } from './mutants.ts';

/** Something that is wrong: a violation by its kind, or a test that failed by its title. */
export type Wrong = { what: string; detail: string };
/** Runs the services as a mutant's catcher says. @returns all that was wrong */
export type Observe = (caught: Catcher) => Promise<readonly Wrong[]>;

export type Verdict =
  | { is: 'caught'; by: string }
  | { is: 'not caught'; instead: string | undefined }
  /** The services without the mutant, run in the same way, were not clean. */
  | { is: 'no verdict'; why: string };

/** One for each way in which mutants are run: the services as they are, run so once, must show nothing wrong. */
export class Controls {
  readonly #wrong = new Map<string, Wrong | undefined>();
  readonly #observe: Observe;

  constructor(observe: Observe) {
    this.#observe = observe;
  }

  /** @returns what is wrong without any mutant; undefined where nothing is */
  async wrong(caught: Catcher): Promise<Wrong | undefined> {
    const way = wayOf(caught);
    if (!this.#wrong.has(way)) this.#wrong.set(way, (await this.#observe(caught))[0]);
    return this.#wrong.get(way);
  }
}

export async function judge(caught: Catcher, controls: Controls, observeMutant: Observe): Promise<Verdict> {
  const before = await controls.wrong(caught);
  if (before) return { is: 'no verdict', why: `without it: ${textOf(before)}` };
  const wrong = await observeMutant(caught);
  const found = wrong.filter(({ what }) => isExpected(caught, what));
  if (found[0]) return { is: 'caught', by: `${found.length} times: ${textOf(found[0])}` };
  return { is: 'not caught', instead: wrong[0] && textOf(wrong[0]) };
}

const wayOf = (caught: Catcher): string =>
  'test' in caught
    ? caught.test
    : JSON.stringify([caught.run.nemeses, caught.run.seed ?? 1, Object.entries(caught.run.settings ?? {})]);

const isExpected = (caught: Catcher, what: string): boolean =>
  'test' in caught ? what.includes(caught.title) : caught.as.some((kind) => kind === what);

const textOf = ({ what, detail }: Wrong): string => `${what}: ${detail.slice(0, 90)}`;
