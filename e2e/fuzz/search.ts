import { MAX_INPUT_BYTES, mutate, type Random } from './mutate.ts';

type Place = { start: { line?: number } };
/** What istanbul counts of one file. */
export type Counters = {
  b: Record<string, number[]>;
  f: Record<string, number>;
  branchMap: Record<string, { loc: Place; locations: Place[] }>;
  fnMap: Record<string, { loc: Place }>;
};
/** `missed`: the lines in which branches and functions begin that were not reached. */
export type Covered = { reached: number; of: number; missed: number[] };

type Counter = { counts: Record<string, number>; key: string; module: number | undefined; line: number };

/** Counters of branches and functions. */
export class Coverage {
  readonly #counters: Counter[] = [];
  readonly #seen: number[];

  /** @param moduleOf which module of a bundle a line is of, undefined where it is not what is fed */
  constructor(files: Record<string, Counters>, moduleOf: (line: number) => number | undefined = () => 0) {
    const add = (counts: object, key: string, ...places: (Place | undefined)[]) => {
      // An else that is not written has no place.
      const line = places.find((place) => place?.start.line !== undefined)?.start.line ?? 0;
      this.#counters.push({ counts: counts as Record<string, number>, key, module: moduleOf(line), line });
    };
    for (const { b, f, branchMap, fnMap } of Object.values(files)) {
      for (const [id, counts] of Object.entries(b))
        for (const key of Object.keys(counts))
          add(counts, key, branchMap[id]!.locations[Number(key)], branchMap[id]!.loc);
      for (const id of Object.keys(f)) add(f, id, fnMap[id]!.loc);
    }
    this.#seen = this.#counters.map(() => 0);
    this.newThisTime();
    this.#seen.fill(0);
  }

  /** Whether the last run has gone where none went before, or more often, in powers of two; begins anew. */
  readonly newThisTime = (): boolean => {
    let found = false;
    for (let i = 0; i < this.#counters.length; i++) {
      const { counts, key } = this.#counters[i]!;
      const count = counts[key]!;
      if (count === 0) continue;
      counts[key] = 0;
      const bit = 1 << Math.min(15, 31 - Math.clz32(count));
      if ((this.#seen[i]! & bit) !== 0) continue;
      this.#seen[i]! |= bit;
      found = true;
    }
    return found;
  };

  /** Of the modules in which anything was reached: the others are not what was fed. */
  covered(): Covered {
    const reached = this.#counters.filter(({ module }, i) => module !== undefined && this.#seen[i]! > 0);
    const own = new Set(reached.map(({ module }) => module));
    const missed = this.#counters.filter(({ module }, i) => own.has(module) && this.#seen[i] === 0);
    return { reached: reached.length, of: reached.length + missed.length, missed: missed.map(({ line }) => line) };
  }
}

export type SearchOptions = {
  run(input: Buffer): unknown;
  random: Random;
  /** Whether the last run is worth going on from. */
  reachedNew(): boolean;
  onBegin?(input: Buffer): void;
  onFound(error: unknown, input: Buffer): void;
  onKept?(input: Buffer): void;
};

/** Inputs made of those that reached something new. */
export class Search {
  readonly #options: SearchOptions;
  readonly #corpus: Buffer[] = [];
  executions = 0;

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  async execute(given: Buffer): Promise<void> {
    const input = given.subarray(0, MAX_INPUT_BYTES);
    const { run, reachedNew, onBegin, onFound, onKept } = this.#options;
    this.executions++;
    onBegin?.(input);
    try {
      const result = run(input);
      if (result instanceof Promise) await result;
    } catch (error) {
      onFound(error, input);
    }
    if (!reachedNew()) return;
    this.#corpus.push(Buffer.from(input));
    onKept?.(input);
  }

  /** One more, from what is worth it so far. */
  async next(): Promise<void> {
    const { random } = this.#options;
    const pick = () => this.#corpus[random(this.#corpus.length)] ?? Buffer.alloc(0);
    await this.execute(mutate(pick(), pick(), random));
  }
}
