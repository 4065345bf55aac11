import { SHAPES, type ShapeName } from './config.ts';
import { FAULT_CLASSES, type FaultClass } from './faults.ts';
import { RULE_NAMES, type RuleName } from './rules.ts';
import { run } from './run.ts';

const USAGE =
  'usage: go.js [shape=tiny|two|full] [faults=a,b] [without=rule,rule] [seed=1] [n=1] [trace=1] [examples=1]';

function list<T extends string>(text: string | undefined, known: readonly T[], what: string): T[] {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const unknown = names.filter((name) => !known.includes(name as T));
  if (unknown.length > 0)
    throw new Error(`no such ${what}: ${unknown.join(', ')}; there is ${known.join(', ')}\n${USAGE}`);
  return names as T[];
}

/** Runs seeds and counts what broke; with `trace=1`, prints every step of the runs that broke something. */
function main(args: readonly string[]): void {
  const given = Object.fromEntries(args.map((arg) => arg.split('='))) as Record<string, string | undefined>;
  const [shape = 'full'] = list(given.shape, Object.keys(SHAPES) as ShapeName[], 'shape');
  const faults: FaultClass[] = list(given.faults, FAULT_CLASSES, 'fault');
  const without: RuleName[] = list(given.without, RULE_NAMES, 'rule');
  const seed = Number(given.seed ?? 1);
  const count = Number(given.n ?? 1);
  const found = new Map<string, { runs: number; examples: string[] }>();
  const startedAt = process.cpuUsage();
  let steps = 0;
  for (let i = seed; i < seed + count; i++) {
    const verdict = run({ seed: i, shape: SHAPES[shape], faults, without, trace: given.trace !== undefined });
    steps += verdict.steps;
    for (const { kind, text } of verdict.broken) {
      const entry = found.get(kind) ?? { runs: 0, examples: [] };
      entry.runs++;
      entry.examples.push(`seed ${i}, ${verdict.ticks} ticks: ${text}`);
      found.set(kind, entry);
    }
    if (given.trace === 'all' || (given.trace !== undefined && verdict.broken.length > 0))
      console.log(verdict.trace.join('\n'));
  }
  const { user, system } = process.cpuUsage(startedAt);
  const kinds = [...found].map(([kind, { runs }]) => `${kind} ${runs}`).join(', ');
  console.log(
    `${shape} [${faults}]${without.length > 0 ? ` without ${without}` : ''}: ${count} runs, ${steps} steps, ${((user + system) / 1e6).toFixed(1)} s: ${kinds || 'nothing broken'}`,
  );
  for (const [kind, { examples }] of found)
    for (const example of examples.slice(0, Number(given.examples ?? 0))) console.log(`  ${kind}: ${example}`);
}

main(process.argv.slice(2));
