import { parentPort, workerData } from 'node:worker_threads';
import { MAX_INPUT_BYTES, mutate, randomOf } from './mutate.ts';
import type { Target } from './targets.ts';
import { type Report, SHARED_HEAD, type Work } from './work.ts';

const COVERAGE = '__restante_fuzz__';
/** Findings of one kind are told once; beyond so many kinds something is wrong with the target. */
const MAX_KINDS = 20;
const BREATHE_EACH = 2_000;

type Counters = { b: Record<string, number[]>; f: Record<string, number> };

/** Counters of branches and functions, of all files. */
class Coverage {
  readonly #arrays: number[][] = [];
  readonly #functions: Record<string, number>[] = [];
  readonly #seen = new Map<number, number>();

  constructor() {
    const files = (globalThis as Record<string, unknown>)[COVERAGE] as Record<string, Counters>;
    for (const { b, f } of Object.values(files)) {
      this.#arrays.push(...Object.values(b));
      this.#functions.push(f);
    }
  }

  /** Whether the last run has gone where none went before, or more often, in powers of two; begins anew. */
  newThisTime(): boolean {
    let found = false;
    let id = 0;
    const look = (count: number) => {
      id++;
      if (count === 0) return;
      const bit = 1 << Math.min(15, 31 - Math.clz32(count));
      const before = this.#seen.get(id) ?? 0;
      if ((before & bit) !== 0) return;
      this.#seen.set(id, before | bit);
      found = true;
    };
    for (const array of this.#arrays)
      for (let i = 0; i < array.length; i++) {
        look(array[i]!);
        array[i] = 0;
      }
    for (const functions of this.#functions)
      for (const key in functions) {
        look(functions[key]!);
        functions[key] = 0;
      }
    return found;
  }

  reached = (): number => this.#seen.size;
  total(): number {
    const branches = this.#arrays.reduce((sum, { length }) => sum + length, 0);
    return branches + this.#functions.reduce((sum, one) => sum + Object.keys(one).length, 0);
  }
}

async function work({ targets, name, forMs, seed, corpus: kept, shared }: Work): Promise<void> {
  const { TARGETS } = (await import(targets)) as { TARGETS: readonly Target[] };
  const target = TARGETS.find((one) => one.name === name)!;
  const say = (report: Report) => parentPort!.postMessage(report);
  const coverage = new Coverage();
  const random = randomOf(seed);
  const head = new Int32Array(shared, 0, 2);
  const bytes = Buffer.from(shared, SHARED_HEAD);
  const corpus: Buffer[] = [];
  const kinds = new Set<string>();
  const end = performance.now() + forMs;
  let executions = 0;
  const execute = async (input: Buffer) => {
    executions++;
    head[1] = input.copy(bytes);
    Atomics.add(head, 0, 1);
    try {
      const result = target.run(input);
      if (result instanceof Promise) await result;
    } catch (error) {
      const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      // Numbers and quoted pieces of the input make no kind of their own.
      const kind = said.replace(/\d+|["'`].*?["'`]/g, '').slice(0, 60);
      if (!kinds.has(kind) && kinds.size < MAX_KINDS) {
        kinds.add(kind);
        const at = error instanceof Error ? (error.stack ?? '').split('\n').slice(1, 4).join(' ') : '';
        say({ t: 'found', input: input.toString('base64'), error: `${said}${at}` });
      }
    }
    if (!coverage.newThisTime()) return;
    corpus.push(Buffer.from(input));
    say({ t: 'kept', input: input.toString('base64') });
  };
  coverage.newThisTime();
  for (const input of [
    ...target.seeds.map((one) => Buffer.from(one)),
    ...kept.map((one) => Buffer.from(one, 'base64')),
  ])
    await execute(input.subarray(0, MAX_INPUT_BYTES));
  while (performance.now() < end) {
    const pick = () => corpus[random(corpus.length)] ?? Buffer.alloc(0);
    await execute(mutate(pick(), pick(), random));
    if (executions % BREATHE_EACH === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  say({ t: 'done', executions, reached: coverage.reached(), of: coverage.total() });
}

await work(workerData as Work);
