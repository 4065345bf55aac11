import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { randomOf } from './mutate.ts';
import { type Counters, Coverage, Search } from './search.ts';
import type { Target } from './targets.ts';
import { type Report, SHARED_HEAD, type Work } from './work.ts';

const COVERAGE = '__restante_fuzz__';
/** Findings of one kind are told once; beyond so many kinds something is wrong with the target. */
const MAX_KINDS = 20;
const BREATHE_EACH = 2_000;

async function work({ targets, plain, name, forMs, seed, corpus: kept, shared }: Work): Promise<void> {
  const { TARGETS } = (await import(targets)) as { TARGETS: readonly Target[] };
  const target = TARGETS.find((one) => one.name === name)!;
  const say = (report: Report) => parentPort!.postMessage(report);
  const files = (globalThis as Record<string, unknown>)[COVERAGE] as Record<string, Counters>;
  const lines = readFileSync(plain, 'utf8').split('\n');
  const coverage = new Coverage(files, modulesOf(lines));
  const head = new Int32Array(shared, 0, 2);
  const bytes = Buffer.from(shared, SHARED_HEAD);
  const kinds = new Set<string>();
  const search = new Search({
    run: (input) => target.run(input),
    random: randomOf(seed),
    reachedNew: coverage.newThisTime,
    onBegin(input) {
      head[1] = input.copy(bytes);
      Atomics.add(head, 0, 1);
    },
    onFound(error, input) {
      const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      // Numbers and quoted pieces of the input make no kind of their own.
      const kind = said.replace(/\d+|["'`].*?["'`]/g, '').slice(0, 60);
      if (kinds.has(kind) || kinds.size >= MAX_KINDS) return;
      kinds.add(kind);
      const at = error instanceof Error ? (error.stack ?? '').split('\n').slice(1, 4).join(' ') : '';
      say({ t: 'found', input: input.toString('base64'), error: `${said}${at}` });
    },
    onKept: (input) => say({ t: 'kept', input: input.toString('base64') }),
  });
  const end = performance.now() + forMs;
  for (const input of target.seeds) await search.execute(Buffer.from(input));
  for (const input of kept) await search.execute(Buffer.from(input, 'base64'));
  while (performance.now() < end) {
    await search.next();
    if (search.executions % BREATHE_EACH === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const { reached, of, missed } = coverage.covered();
  say({ t: 'done', executions: search.executions, reached, of, missed: missed.map((line) => lines[line - 1]!.trim()) });
}

/** Which module of a bundle a line is of: esbuild begins each with its path. The targets themselves are none. */
function modulesOf(lines: readonly string[]): (line: number) => number | undefined {
  const begins = lines.flatMap((line, i) => (/^\/\/ \S+\.ts$/.test(line) ? [i + 1] : []));
  const moduleOf = (line: number) => begins.findLast((begin) => begin <= line);
  const targets = moduleOf(lines.findIndex((line) => line.startsWith('var TARGETS =')) + 1);
  return (line) => {
    const module = moduleOf(line);
    return module === targets ? undefined : module;
  };
}

await work(workerData as Work);
