import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { TARGETS } from './targets.ts';
import { type Report, SHARED_BYTES, SHARED_HEAD, type Work } from './work.ts';

const HELP = `npm run fuzz -- [--minutes M] [--seed N] [--only WORD] [--missed]: feeds what reads from a wire with inputs that are
changed towards code not reached before, M minutes in all (10). Each target has a process's thread of its own with at most 256 MiB;
an input has 5 s. Inputs that reached something new are kept in .restante-fuzz/, findings in .restante-fuzz/findings/.
--missed shows the lines whose branches were not reached, of the modules that a target goes through.
Exit codes: 0 no finding, 1 findings, 2 usage.`;
const MEMORY_MIB = 256;
/** An input that takes longer is a hang. */
const INPUT_MS = 5_000;
/** A thread that starts reads its modules first. */
const START_MS = 60_000;
const FOLDER = '.restante-fuzz';
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
type Verdict = { executions: number; reached: number; of: number; missed: string[]; findings: string[] };

async function fuzz(name: string, forMs: number, seed: number): Promise<Verdict> {
  const folder = join(FOLDER, name.replace(/\W+/g, '-'));
  mkdirSync(folder, { recursive: true });
  const corpus = readdirSync(folder).map((file) => readFileSync(join(folder, file)).toString('base64'));
  const shared = new SharedArrayBuffer(SHARED_BYTES);
  const head = new Int32Array(shared, 0, 2);
  const verdict: Verdict = { executions: 0, reached: 0, of: 0, missed: [], findings: [] };
  const found = (error: string, input: Buffer) => {
    const file = join(FOLDER, 'findings', `${name.replace(/\W+/g, '-')}-${nameOf(input)}`);
    mkdirSync(join(FOLDER, 'findings'), { recursive: true });
    writeFileSync(file, input);
    verdict.findings.push(`${error} (${file})`);
  };
  const atWork = () => Buffer.from(Buffer.from(shared, SHARED_HEAD, head[1]));
  const workerData: Work = {
    targets: here('fuzz-targets.mjs'),
    plain: here('fuzz-targets-plain.mjs'),
    name,
    forMs,
    seed,
    corpus,
    shared,
  };
  const resourceLimits = { maxOldGenerationSizeMb: MEMORY_MIB };
  const worker = new Worker(here('fuzz-worker.mjs'), { workerData, resourceLimits });
  let seen = 0;
  let movedAt = performance.now();
  const watch = setInterval(() => {
    const now = Atomics.load(head, 0);
    if (now !== seen) {
      seen = now;
      movedAt = performance.now();
    } else if (performance.now() - movedAt > (seen === 0 ? START_MS : INPUT_MS)) {
      found(`hangs for more than ${INPUT_MS} ms`, atWork());
      void worker.terminate();
    }
  }, 500);
  await new Promise<void>((resolve) => {
    worker.on('message', (report: Report) => {
      if (report.t === 'found') found(report.error, Buffer.from(report.input, 'base64'));
      else if (report.t === 'kept') {
        const input = Buffer.from(report.input, 'base64');
        writeFileSync(join(folder, nameOf(input)), input);
      } else {
        const { t: _, ...done } = report;
        Object.assign(verdict, done);
      }
    });
    worker.on('error', (error) => found(`the thread ended: ${error.message}`, atWork()));
    worker.on('exit', () => resolve());
  });
  clearInterval(watch);
  if (verdict.executions === 0) verdict.executions = Atomics.load(head, 0);
  return verdict;
}

const nameOf = (input: Buffer): string => createHash('sha256').update(input).digest('hex').slice(0, 16);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      only: { type: 'string', default: '' },
      missed: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  const targets = TARGETS.filter(({ name }) => name.includes(values.only));
  if (values.help || !(minutes > 0) || !Number.isSafeInteger(seed) || targets.length === 0) {
    console.log(HELP);
    return values.help ? 0 : 2;
  }
  console.log(`seed ${seed}, ${targets.length} targets, ${minutes} minutes`);
  let findings = 0;
  let executions = 0;
  for (const { name } of targets) {
    const verdict = await fuzz(name, (minutes * 60_000) / targets.length, seed);
    findings += verdict.findings.length;
    executions += verdict.executions;
    const share = `${verdict.reached} of ${verdict.of} branches and functions of the modules it goes through`;
    console.log(`${name}: ${verdict.executions} executions, ${share}, ${verdict.findings.length} findings`);
    for (const finding of verdict.findings) console.log(`  ${finding}`);
    if (values.missed) for (const line of verdict.missed) console.log(`  not reached: ${line}`);
  }
  console.log(`${findings === 0 ? 'holds' : 'FAILS'}: ${executions} executions, ${findings} findings`);
  return findings === 0 ? 0 : 1;
}

process.exitCode = await main();
