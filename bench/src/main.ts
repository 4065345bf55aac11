import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DRIVERS, PROGRAMS } from './drivers/all.ts';
import { installPeers } from './install-peers.ts';
import { plot } from './report/plot.ts';
import { profileTables } from './report/profile.ts';
import { tables } from './report/tables.ts';
import { faultsOf } from './report/targets.ts';
import type { Result, Run } from './result.ts';
import { describeMachine, type JobSpec, runJobs } from './run-jobs.ts';
import { sweepJobs } from './sweeps.ts';
import { findProgram } from './versions.ts';
import { WORKLOADS, workloadNames } from './workloads/all.ts';
import type { Params } from './workloads/workload.ts';

const HELP = `npm run bench -- [options]

Without options: the figures that the first pipeline had to reach, with their targets, in
about five minutes. Each workload starts the whole system anew, on ports and in a folder
of its own. Run nothing else meanwhile: the load generator shares the machine.

  --peers               against the peers that are installed, interleaved, 3 rounds   (W1 to W5)
  --systems a,b         only these: ${Object.keys(DRIVERS).join(', ')}
  --workload W1,W3      only these: ${Object.keys(WORKLOADS).join(', ')}, W6 (how this system grows)
  --rounds N            rounds   (default 1, with --peers 3)
  --quick               small sizes: does everything start and deliver
  --json FILE           where everything measured is written, after each run   (default .restante/bench.json)
  --markdown FILE       the tables
  --svg FILE            the plot
  --params JSON         parameters of the workloads, as {"users":1000}
  --limit SECONDS       ends a workload that takes longer   (default 240; a soak: beside its minutes)
  --keep                keeps data and logs, under --scratch DIR
  --report a.json,b.json   no run: the tables and plot of earlier ones
  --profile DIR         each of our processes writes its CPU profile there; where the time went is printed
  --costs               W1, W2, W4 and W5a of this system: what a message costs each process in system calls (strace),
                        bytes allocated and requests; figures of time in the same run tell nothing
  --install-peers       installs the peers: Debian packages (as root) and NATS (by Go)

Exit code: 0 all ran, 1 some did not, or this system lost, doubled or reordered a message, 2 usage.`;

const OWN_DEFAULT = 'W1,W2,W3,W5a,W5b';
const PEERS_DEFAULT = 'W1,W2,W3,W4,W5';
/** What only this system is asked: what a peer's RSS tells of natural text says nothing. */
const OWN_ONLY = new Set(['W5c', 'W7']);

function readOptions() {
  const { values } = parseArgs({
    options: {
      peers: { type: 'boolean', default: false },
      systems: { type: 'string' },
      workload: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string', default: join('.restante', 'bench.json') },
      markdown: { type: 'string' },
      svg: { type: 'string' },
      params: { type: 'string', default: '{}' },
      limit: { type: 'string', default: '240' },
      scratch: { type: 'string', default: join(os.tmpdir(), `restante-bench-${process.pid}`) },
      keep: { type: 'boolean', default: false },
      report: { type: 'string' },
      profile: { type: 'string' },
      costs: { type: 'boolean', default: false },
      'install-peers': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const systems = values.systems?.split(',');
  for (const system of systems ?? [])
    if (DRIVERS[system] === undefined)
      throw new Error(`no system ${system}; there are ${Object.keys(DRIVERS).join(', ')}`);
  const workloads = values.workload ?? (values.peers ? PEERS_DEFAULT : OWN_DEFAULT);
  const sweeps = workloads.split(',').includes('W6');
  return {
    ...values,
    systems,
    sweeps,
    workloads: workloadNames(workloads.split(',').filter((name) => name !== 'W6')),
    params: JSON.parse(values.params) as Params,
  };
}
type Options = ReturnType<typeof readOptions>;

function jobsOf(options: Options): JobSpec[] {
  const asked = options.systems ?? (options.peers ? Object.keys(DRIVERS) : ['restante']);
  const systems = asked.filter((system) => {
    const absent = (PROGRAMS[system] ?? []).filter((name) => findProgram(name) === undefined);
    if (absent.length > 0)
      console.error(`${system} is left out: no ${absent.join(' and no ')} here (npm run bench -- --install-peers)`);
    return absent.length === 0;
  });
  const jobs = options.workloads.flatMap((workload) => {
    const known = WORKLOADS[workload];
    const params = { ...known?.params, ...(options.quick ? known?.quick : {}), ...options.params };
    return systems
      .filter((system) => system === 'restante' || !OWN_ONLY.has(workload))
      .map((system) => ({
        system,
        workload,
        params,
        env: hookEnv(options),
        extraSeconds: known?.extraSeconds?.(params) ?? 0,
      }));
  });
  return options.sweeps ? [...jobs, ...sweepJobs(options.quick)] : jobs;
}

/** What is loaded into the services, and where it leaves what it found; the launcher hands it on to them. */
function hookEnv({ profile, costs, scratch }: Pick<Options, 'profile' | 'costs' | 'scratch'>): Record<string, string> {
  const load = (hook: string) => `--import ${new URL(hook, import.meta.url).href}`;
  const hooks = [
    ...(profile === undefined ? [] : [load('./profile-hook.js')]),
    ...(costs ? [load('./cost-hook.js')] : []),
  ];
  if (hooks.length === 0) return {};
  return {
    NODE_OPTIONS: hooks.join(' '),
    ...(profile === undefined ? {} : { BENCH_PROFILE_DIR: resolve(profile) }),
    ...(costs ? { BENCH_COST_DIR: resolve(scratch, 'costs') } : {}),
  };
}

async function measure(options: Options): Promise<Run> {
  const run: Run = { machine: describeMachine(), results: [] };
  mkdirSync(dirname(options.json), { recursive: true });
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => abort.abort());
  const onResult = (result: Result) => {
    run.results.push(result);
    console.error(progressLine(result));
    writeFileSync(options.json, `${JSON.stringify(run, null, 1)}\n`);
  };
  const rounds = Number(options.rounds ?? (options.peers && !options.quick ? 3 : 1));
  await runJobs(jobsOf(options), {
    rounds,
    limitSeconds: Number(options.limit),
    scratch: options.scratch,
    keep: options.keep,
    signal: abort.signal,
    onResult,
    onProgress: (line) => console.error(line),
  });
  return run;
}

function progressLine({ system, workload, variant, round, figures, error, wallSeconds, counters }: Result): string {
  const shown = error?.split('\n')[0] ?? JSON.stringify(figures);
  const faults = Object.entries(counters ?? {}).filter(
    ([name, value]) => !['sent', 'accepted', 'received', 'errors'].includes(name) && value !== 0,
  );
  return `${workload} ${system}${variant === undefined ? '' : ` ${variant}`} #${round} (${wallSeconds} s) ${shown}${faults.length === 0 ? '' : ` FAULTS ${JSON.stringify(Object.fromEntries(faults))}`}`;
}

function readRuns(files: string): Run {
  const runs = files.split(',').map((file) => JSON.parse(readFileSync(file, 'utf8')) as Run);
  const date = [...new Set(runs.map(({ machine }) => machine.date))].join(' and ');
  return { machine: { ...(runs[0] as Run).machine, date }, results: runs.flatMap((run) => run.results) };
}

async function main(): Promise<number> {
  let options: Options;
  try {
    options = readOptions();
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options['install-peers']) return installPeers();
  const run = options.report === undefined ? await measure(options) : readRuns(options.report);
  const text = tables(run);
  console.log(text);
  if (options.report === undefined) console.error(`as JSON: ${options.json}`);
  if (options.profile !== undefined) console.log(profileTables(options.profile));
  if (options.markdown !== undefined) writeFileSync(options.markdown, `${text}\n`);
  if (options.svg !== undefined) writeFileSync(options.svg, plot(run));
  const isGood = (result: Result) =>
    result.error === undefined && (result.system !== 'restante' || faultsOf(result) === 0);
  return run.results.every(isGood) ? 0 : 1;
}

process.exitCode = await main();
