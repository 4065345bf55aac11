import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { faultRun } from '../fault-run.ts';
import { MUTANTS, type Mutant } from './mutants.ts';
import { ServicesCopy } from './services-copy.ts';

const HELP = `npm run mutants -- [--only NAME] [--minutes M]

Puts one mistake at a time into a copy of the services, and shows that the fault runs, or the test that knows better, catch it.

  --only NAME    only the mutants whose name has this in it
  --minutes M    how long each run takes (default 0.5)

Exit code: 0 all were caught · 1 one was not · 2 wrong arguments · 3 it could not run.
Mutants:
${MUTANTS.map(({ name }) => `  ${name}`).join('\n')}
`;
// As deep as e2e/dist, where this is when it runs.
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What a mutant loses never comes: there is no use in waiting for it. */
const QUIET_MS = 15_000;
/** Where nothing has to be hurt first, it shows at once. */
const MINUTES_UNHURT = 0.2;
const NAME_WIDTH = 60;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const { values } = parseArgs({
  options: { help: { type: 'boolean' }, only: { type: 'string' }, minutes: { type: 'string' } },
});
if (values.help) say(HELP);
else process.exitCode = await main(values.only ?? '', Number(values.minutes ?? 0.5));
process.exit();

async function main(only: string, minutes: number): Promise<number> {
  const chosen = MUTANTS.filter(({ name }) => name.includes(only));
  if (chosen.length === 0 || !(minutes > 0)) {
    say(`--only ${only} --minutes ${minutes}: no such mutant, or no such time\n${HELP}`);
    return 2;
  }
  const copy = new ServicesCopy(ROOT);
  let survivors = 0;
  try {
    for (const mutant of chosen) {
      const by = await copy.with(mutant, () => caughtBy(mutant, copy.root, minutes));
      if (by === undefined) survivors++;
      say(`${by === undefined ? '✗' : '✓'} ${mutant.name.padEnd(NAME_WIDTH)} ${by ?? 'NOT caught'}`);
    }
  } finally {
    copy.remove();
  }
  say(`${chosen.length - survivors} of ${chosen.length} mutants were caught`);
  return survivors === 0 ? 0 : 1;
}

async function caughtBy({ caught }: Mutant, root: string, minutes: number): Promise<string | undefined> {
  return 'test' in caught ? failsIn(root, caught.test) : brokenIn(root, caught, minutes);
}

type ByRun = Extract<Mutant['caught'], { run: object }>;

/** A run in which it does what nobody may do. */
async function brokenIn(root: string, { run, as }: ByRun, minutes: number): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'restante-mutant-run-'));
  try {
    const { nemeses, seed = 1, settings = {} } = run;
    const long = nemeses.length === 0 ? Math.min(minutes, MINUTES_UNHURT) : minutes;
    const options = {
      seed,
      minutes: long,
      nemeses,
      unhurt: nemeses.length === 0,
      rate: 20,
      folder,
      settings,
      root,
      quietMs: QUIET_MS,
      say: () => {},
    };
    const { violations } = await faultRun(options);
    const found = violations.filter(({ kind }) => as.includes(kind));
    const [first] = found;
    return first && `the run: ${found.length} ${first.kind}, such as ${first.detail.slice(0, 90)}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A test that passes on the original fails on the copy. */
function failsIn(root: string, test: string): string | undefined {
  const vitest = join(ROOT, 'node_modules', '.bin', 'vitest');
  try {
    execFileSync(vitest, ['run', '--root', root, '--project', 'integration', '--reporter=json', test], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return undefined;
  } catch (error) {
    // Only a test that ran and failed has caught anything.
    const output = String((error as { stdout?: string }).stdout ?? '');
    const report = output.slice(output.indexOf('{"numTotal'));
    const { numFailedTests, numPassedTests, testResults } = JSON.parse(
      report.slice(0, report.lastIndexOf('}') + 1),
    ) as {
      numFailedTests: number;
      numPassedTests: number;
      testResults: { assertionResults: { status: string; title: string }[] }[];
    };
    if (numFailedTests === 0 || numPassedTests === 0) throw new Error(`${test} could not run in the copy`);
    const first = testResults.flatMap((one) => one.assertionResults).find(({ status }) => status === 'failed');
    return `${test}: ${first?.title}`;
  }
}
