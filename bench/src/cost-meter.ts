import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessCosts } from './cost-hook.ts';
import { sleep } from './processes.ts';
import type { Measured } from './server-host.ts';
import { round } from './statistics.ts';
import { findProgram } from './versions.ts';

/** A message's part of what was counted: of each of our processes, and of the engines. */
export type Costs = { processes: Record<string, Record<string, number>>; engines: Record<string, number> };

/** What the engines have been given so far, by name; only differences count. */
export type EngineCounts = () => Promise<Record<string, number>>;

const WRITTEN_MS = 10_000;

type Running = { ours: Measured[]; straces: Map<string, ChildProcess>; before: Promise<Record<string, number>> };

/**
 * Counts what our processes do between `begin` and `end`: by the hook that is loaded into each (cost-hook.ts), and system calls by strace,
 * where that is on PATH. Being counted slows them, by half with strace: the figures of time in the same run tell nothing.
 */
export class CostMeter {
  readonly #folder: string;
  readonly #counts: EngineCounts;
  #running: Running | undefined;
  #costs: Promise<Costs> | undefined;

  constructor(folder: string, counts: EngineCounts) {
    this.#folder = folder;
    this.#counts = counts;
  }

  begin(measured: readonly Measured[]): void {
    const ours = measured.filter(({ group }) => group === 'ours');
    const straces = new Map<string, ChildProcess>();
    const strace = findProgram('strace');
    for (const { name, pid } of ours) {
      rmSync(this.#hookFile(name), { force: true });
      process.kill(pid, 'SIGUSR2');
      if (strace === undefined) continue;
      straces.set(name, spawn(strace, ['-f', '-c', '-o', this.#straceFile(name), '-p', String(pid)]));
    }
    this.#running = { ours, straces, before: this.#counts() };
  }

  end(messages: number): void {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined || messages === 0) return;
    const after = this.#counts();
    for (const { pid } of running.ours) process.kill(pid, 'SIGUSR2');
    this.#costs = this.#collect(running, after, messages);
    this.#costs.catch(() => {});
  }

  /** Of the last time that was measured. @throws where a process has not said what it counted */
  costs(): Promise<Costs> | undefined {
    return this.#costs;
  }

  async #collect(
    { ours, straces, before }: Running,
    after: Promise<Record<string, number>>,
    messages: number,
  ): Promise<Costs> {
    const each = (value: number) => round(value / messages, 3);
    const processes: Costs['processes'] = {};
    for (const { name } of ours) {
      const { heapBytes, kafkaRequests, redisWrites, httpRequests } = JSON.parse(
        await written(this.#hookFile(name)),
      ) as ProcessCosts;
      processes[name] = {
        heapKiB: each(heapBytes / 1024),
        kafkaRequests: each(kafkaRequests),
        redisWrites: each(redisWrites),
        httpRequests: each(httpRequests),
      };
      const strace = straces.get(name);
      if (strace === undefined) continue;
      // Only now: a signal on its way to a process that strace lets go of is lost.
      strace.kill('SIGINT');
      if (strace.exitCode === null && strace.signalCode === null)
        await new Promise((done) => strace.once('exit', done));
      processes[name].systemCalls = each(systemCalls(await written(this.#straceFile(name))));
    }
    const [from, to] = await Promise.all([before, after]);
    const engines = Object.fromEntries(
      Object.entries(to).map(([what, value]) => [what, each(value - (from[what] ?? 0))]),
    );
    return { processes, engines };
  }

  #hookFile(name: string): string {
    return join(this.#folder, `${name}.json`);
  }

  #straceFile(name: string): string {
    return join(this.#folder, `${name}.strace.txt`);
  }
}

/** The number in the column `calls` of the last line of `strace -c`. */
export function systemCalls(table: string): number {
  const calls = /^100\.00\s+\S+\s+\d+\s+(\d+)\s+(?:\d+\s+)?total$/m.exec(table)?.[1];
  if (calls === undefined) throw new Error(`strace counted nothing: ${table.slice(0, 200)}`);
  return Number(calls);
}

async function written(file: string): Promise<string> {
  for (const end = Date.now() + WRITTEN_MS; !existsSync(file); await sleep(20))
    if (Date.now() > end) throw new Error(`${file} was not written within ${WRITTEN_MS} ms`);
  return readFileSync(file, 'utf8');
}
