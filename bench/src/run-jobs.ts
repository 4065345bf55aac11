import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Machine, Result } from './result.ts';
import { endLeftovers } from './server-host.ts';
import { round } from './statistics.ts';
import type { Job } from './worker.ts';
import type { Params } from './workloads/workload.ts';

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

/** 20,000 connections need as many descriptors on either side; where the limit can't be raised, it stays. */
const RAISE_LIMIT = 'ulimit -n 65536 2>/dev/null; exec "$@"';

export type JobSpec = {
  system: string;
  workload: string;
  params: Params;
  env?: Record<string, string>;
  variant?: string;
  /** How long it takes by what it was asked for, beside what any workload may. */
  extraSeconds?: number;
};
export type RunOptions = {
  rounds: number;
  /** A workload is ended after this long and its `extraSeconds`, servers and all. */
  limitSeconds: number;
  scratch: string;
  /** Keeps data and logs. */
  keep: boolean;
  /** Aborted, the job that runs is ended and no other begins. */
  signal: AbortSignal;
  onResult: (result: Result) => void;
  onProgress: (line: string) => void;
};

/** Runs the jobs in rounds: every system once before any runs again, so that a drift of the machine hits all alike. */
export async function runJobs(jobs: readonly JobSpec[], options: RunOptions): Promise<void> {
  mkdirSync(options.scratch, { recursive: true });
  for (let round = 1; round <= options.rounds; round++) {
    for (const job of jobs) {
      if (options.signal.aborted) return;
      options.onResult({
        ...(await runOne(job, round, options)),
        ...(job.variant === undefined ? {} : { variant: job.variant }),
      });
    }
  }
  if (!options.keep) rmSync(options.scratch, { recursive: true, force: true });
}

async function runOne(spec: JobSpec, nth: number, options: RunOptions): Promise<Result> {
  const { system, workload } = spec;
  const folder = join(options.scratch, [system, workload, spec.variant, nth].filter(Boolean).join('-'));
  const resultFile = `${folder}.json`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const load1Before = round(os.loadavg()[0] as number, 2);
  const startedAt = Date.now();
  const job: Job = { system, workload, folder, resultFile, params: spec.params, env: spec.env ?? {} };
  const ended = await runWorker(job, {
    ...options,
    limitSeconds: options.limitSeconds + (spec.extraSeconds ?? 0),
    onProgress: (line) => options.onProgress(`${workload} ${system} ${line}`),
  });
  const left = await endLeftovers(folder);
  const result = readResult(resultFile) ?? { system, workload, error: ended };
  if (left > 0 && ended === '') result.note = `${left} processes had to be ended`;
  if (!options.keep) rmSync(folder, { recursive: true, force: true });
  return { ...result, round: nth, wallSeconds: round((Date.now() - startedAt) / 1000), load1Before };
}

/** @returns why there may be no result; empty where it ended by itself. */
function runWorker(job: Job, { limitSeconds, signal, onProgress }: RunOptions): Promise<string> {
  const log = openSync(`${job.folder}.worker.txt`, 'w');
  const node = [process.execPath, '--max-old-space-size=4096', WORKER, JSON.stringify(job)];
  const child = spawn('/bin/sh', ['-c', RAISE_LIMIT, 'sh', ...node], { stdio: ['ignore', log, log, 'ipc'] });
  child.on('message', (line) => onProgress(String(line)));
  return new Promise((resolve) => {
    let why = '';
    const end = (reason: string) => {
      why = reason;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => end(`ended at the limit of ${limitSeconds} s`), limitSeconds * 1000);
    const abort = () => end('interrupted');
    signal.addEventListener('abort', abort, { once: true });
    child.on('exit', (code) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      resolve(
        why === '' && code !== 0
          ? `the worker ended with ${code}: ${readFileSync(`${job.folder}.worker.txt`, 'utf8').slice(-400)}`
          : why,
      );
    });
  });
}

function readResult(file: string): Result | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Result;
  } catch {
    return undefined;
  }
}

export function describeMachine(): Machine {
  const limits = (() => {
    try {
      return readFileSync('/proc/self/limits', 'utf8');
    } catch {
      return '';
    }
  })();
  return {
    date: new Date().toISOString(),
    node: process.version,
    cores: os.availableParallelism(),
    cpu: os.cpus()[0]?.model ?? '?',
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    openFiles: /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? '?',
  };
}
