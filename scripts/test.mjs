// npm test: every test, on real engines. Arguments go to vitest: npm test -- --project unit messaging
// npm test -- --redis-cluster [files]: the end-to-end tests, with Redis as a cluster of three; the core of them is in every run.
// The last line says how many passed and failed, by vitest's own report.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
const total = { passed: 0, failed: 0 };
for (const [index, { args, env }] of runs.entries()) {
  const file = join(reports, `${index}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const { code } = await run('vitest', ['run', ...reporters, ...args], { env });
  const counts = countsOf(file, code);
  total.passed += counts.passed;
  total.failed += counts.failed;
}
if (total.passed + total.failed === 0) say('no test ran');
say(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

/** A file that could not even be loaded has no tests to count, so it counts as a failure itself; so does a run that fails otherwise. */
function countsOf(file, code) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    const broken = report.testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    );
    const failed = report.numFailedTests + broken.length;
    return { passed: report.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed };
  } catch {
    say('vitest has left no report');
    return { passed: 0, failed: 1 };
  }
}
