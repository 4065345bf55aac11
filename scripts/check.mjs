// npm run check: all that can be told without running the system. Each step is shown with its time; all are run, whatever fails.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from './lib/run.mjs';
import { install, say } from './lib/setup.mjs';

const WORKSPACES = readdirSync(ROOT, { withFileTypes: true })
  .filter(
    (entry) =>
      entry.isDirectory() && entry.name !== 'node_modules' && existsSync(join(ROOT, entry.name, 'package.json')),
  )
  .map(({ name }) => name);
/** Fewer modules than this, and the dependency rules have not been held against what is there. */
const MODULES_LEAST = 100;

const steps = [
  { name: 'types', command: 'tsc', args: ['-p', 'tsconfig.check.json'] },
  // Programs of their own: the one needs the browser's types, the other a softer rule.
  ...['client', 'cdk'].map((name) => ({
    name: `types of ${name}`,
    command: 'tsc',
    args: ['-p', typesOf(name), '--noEmit'],
  })),
  { name: 'format and lint', command: 'biome', args: ['check', '--error-on-warnings', '.'] },
  { name: 'lock file', command: process.execPath, args: ['scripts/complete-lock.mjs', '--check'] },
  {
    name: 'OpenAPI and AsyncAPI',
    command: 'vitest',
    args: ['run', '--project', 'unit', 'gateway/src/descriptions.test.ts'],
  },
  { name: 'npm audit', command: process.execPath, args: ['scripts/audit.mjs'], shows: true },
  { name: 'nothing unused', command: 'knip', args: ['--no-progress', '--no-config-hints'] },
  {
    name: 'who imports whom',
    command: 'depcruise',
    args: ['--config', '.dependency-cruiser.mjs', ...WORKSPACES],
    judge: readSomething,
  },
];

await install();
const began = Date.now();
const failed = [];
const waiting = [...steps];
// Two at a time: the machine that this is for has two cores.
await Promise.all([work(), work()]);
say(failed.length === 0 ? `all checks passed in ${seconds(began)}` : `failed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);

async function work() {
  for (let step = waiting.shift(); step; step = waiting.shift()) {
    const start = Date.now();
    const { code, output } = await run(step.command, step.args, { quiet: true });
    const objection = code === 0 ? step.judge?.(output) : `exit code ${code}`;
    say(
      `${objection ? '✗' : '✓'} ${step.name} (${seconds(start)})${step.shows ? `: ${output.trim().split('\n')[0]}` : ''}`,
    );
    if (!objection) continue;
    failed.push(step.name);
    say(`${output.trim()}\n${objection}`);
  }
}

function typesOf(workspace) {
  const check = join(workspace, 'tsconfig.check.json');
  return existsSync(join(ROOT, check)) ? check : join(workspace, 'tsconfig.json');
}

/** "No violations" is worth nothing where nothing was read, as happens without a parser for TypeScript. */
function readSomething(output) {
  const [, modules, dependencies] = /(\d+) modules, (\d+) dependencies cruised/.exec(output) ?? [];
  if (Number(modules) >= MODULES_LEAST && Number(dependencies) >= MODULES_LEAST) return undefined;
  return `it read ${modules ?? 'no'} modules, at least ${MODULES_LEAST} were expected`;
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
