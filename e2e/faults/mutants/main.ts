import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { faultRun } from '../fault-run.ts';
import { type Catcher, MUTANTS } from './mutants.ts';
import { ServicesCopy } from './services-copy.ts';
import { Controls, judge, type Verdict, type Wrong } from './verdict.ts';

const HELP = `npm run mutants -- [--only NAME] [--minutes M]

Puts one mistake at a time into a copy of the services, and shows that the fault runs, or the test that knows better, catch it.
Each way of running is tried once without any mistake first: what is wrong then says nothing of a mutant.

  --only NAME    only the mutants whose name has this in it
  --minutes M    how long each run takes (default 0.5)

Exit code: 0 all were caught · 1 one was not · 2 wrong arguments · 3 it could not run, or one has no verdict.
Mutants:
${MUTANTS.map(({ name }) => `  ${name}`).join('\n')}
`;
// As deep as e2e/dist, where this is when it runs.
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Without any mistake all is at rest by then; what a mutant loses never comes. */
const QUIET_MS = 60_000;
/** Where nothing has to be hurt first, it shows at once. */
const MINUTES_UNHURT = 0.2;
const NAME_WIDTH = 60;
const MOST_OUTPUT_BYTES = 64 * 1024 * 1024;

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
  const observe = (caught: Catcher) => wrongIn(caught, copy.root, minutes);
  const controls = new Controls(observe);
  const count = { caught: 0, 'not caught': 0, 'no verdict': 0 };
  try {
    for (const mutant of chosen) {
      const verdict = await judge(mutant.caught, controls, (caught) => copy.with(mutant, () => observe(caught)));
      count[verdict.is]++;
      say(lineOf(mutant.name, verdict));
    }
  } finally {
    copy.remove();
  }
  const unproven = count['no verdict'] > 0 ? `, ${count['no verdict']} have no verdict` : '';
  say(`${count.caught} of ${chosen.length} mutants were caught${unproven}`);
  if (count['not caught'] > 0) return 1;
  return count['no verdict'] > 0 ? 3 : 0;
}

function lineOf(mutant: string, verdict: Verdict): string {
  const name = mutant.padEnd(NAME_WIDTH);
  if (verdict.is === 'caught') return `✓ ${name} ${verdict.by}`;
  if (verdict.is === 'no verdict') return `? ${name} no verdict, ${verdict.why}`;
  return `✗ ${name} NOT caught${verdict.instead === undefined ? '' : `, but ${verdict.instead}`}`;
}

async function wrongIn(caught: Catcher, root: string, minutes: number): Promise<readonly Wrong[]> {
  return 'test' in caught ? failedIn(root, caught.test) : brokenIn(root, caught.run, minutes);
}

type Run = Extract<Catcher, { run: object }>['run'];

/** A run in which somebody does what nobody may do. */
async function brokenIn(root: string, { nemeses, seed = 1, settings = {} }: Run, minutes: number): Promise<Wrong[]> {
  const folder = mkdtempSync(join(tmpdir(), 'restante-mutant-run-'));
  try {
    const long = nemeses.length === 0 ? Math.min(minutes, MINUTES_UNHURT) : minutes;
    const { violations } = await faultRun({
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
    });
    return violations.map(({ kind, detail }) => ({ what: kind, detail }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type TestReport = {
  numFailedTests: number;
  numPassedTests: number;
  testResults: { assertionResults: { status: string; title: string }[] }[];
};

/** The tests of a file that fail in the copy. @throws Error where they could not be run */
function failedIn(root: string, test: string): Wrong[] {
  const vitest = join(ROOT, 'node_modules', '.bin', 'vitest');
  const args = ['run', '--root', root, '--project', 'integration', '--reporter=json', test];
  const { stdout } = spawnSync(vitest, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: MOST_OUTPUT_BYTES,
  });
  const json = stdout.slice(stdout.indexOf('{"numTotal'), stdout.lastIndexOf('}') + 1);
  if (json === '') throw new Error(`${test} could not run in the copy`);
  const { numFailedTests, numPassedTests, testResults } = JSON.parse(json) as TestReport;
  // Where none passed it was not the tests that failed.
  if (numPassedTests === 0) throw new Error(`${test} could not run in the copy: ${numFailedTests} failed, none passed`);
  const failed = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'failed');
  return failed.map(({ title }) => ({ what: title, detail: test }));
}
