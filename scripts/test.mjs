// npm test: every test, on real engines. Arguments go to vitest: npm test -- --project unit messaging
// npm test -- --redis-cluster [files]: the end-to-end tests, with Redis as a cluster of three; the core of them is in every run.
// The last line says how many passed and failed, by vitest's own report; the ones before it name what failed, for whoever has only the end of a log.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ensureChromium } from './lib/chromium.mjs';
import { run } from './lib/run.mjs';
import { build, install, say } from './lib/setup.mjs';

/** One after the other: each with the machine, and the engines, to itself. */
const PROJECTS = ['unit', 'integration', 'e2e'];
const REDIS_CLUSTER = '--redis-cluster';
/** Offline, in order, once; after Redis lost everything; all services restarted: whatever a script does with keys, one of these does. */
const CORE = ['e2e/pipeline', 'e2e/client-recovers', 'e2e/rolling-restart'];

await install();
say('building what has changed');
await build();

const reports = mkdtempSync(join(tmpdir(), 'restante-report-'));
process.once('exit', () => rmSync(reports, { recursive: true, force: true }));
const inCluster = process.argv.includes(REDIS_CLUSTER);
const given = process.argv.slice(2).filter((argument) => argument !== REDIS_CLUSTER);
if (given.length === 0) ensureChromium();
const cluster = (args) => ({ args: ['--project', 'e2e', ...args], env: { REDIS_NODES: '3' } });
const runs = inCluster
  ? [cluster(given)]
  : given.length > 0
    ? [{ args: given }]
    : [...PROJECTS.map((project) => ({ args: ['--project', project] })), cluster(CORE)];
const total = { passed: 0, failures: [] };
for (const [index, { args, env }] of runs.entries()) {
  const file = join(reports, `${index}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const { code } = await run('vitest', ['run', ...reporters, ...args], { env });
  const counts = countsOf(file, code);
  total.passed += counts.passed;
  total.failures.push(...counts.failures);
}
const failed = total.failures.length;
if (total.passed + failed === 0) say('no test ran');
for (const failure of total.failures) say(failure);
say(`${total.passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && total.passed > 0 ? 0 : 1;

/** A file that could not even be loaded has no tests to count, so it counts as a failure itself; so does a run that fails otherwise. */
function countsOf(file, code) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    const failures = report.testResults.flatMap(failuresOf);
    if (failures.length === 0 && code !== 0) failures.push(`vitest ended with code ${code} and names no failure`);
    return { passed: report.numPassedTests, failures };
  } catch (error) {
    return { passed: 0, failures: [`vitest has left no report: ${error.message}`] };
  }
}

/** A line for each test that failed, with the first line of why; one for the file where it failed outside of its tests. */
function failuresOf({ name, status, message, assertionResults }) {
  const line = (title, why) => `failed: ${relative(process.cwd(), name)} > ${title}: ${(why ?? '').split('\n')[0]}`;
  const failed = assertionResults.filter((test) => test.status === 'failed');
  if (failed.length === 0) return status === 'failed' ? [line('(the file)', message)] : [];
  return failed.map((test) => line(test.fullName, test.failureMessages[0]));
}
