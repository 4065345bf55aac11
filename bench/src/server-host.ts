import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CostMeter } from './cost-meter.ts';
import { endProcess, isAlive, portOpen, sleep, startTime } from './processes.ts';

/** Whose memory and CPU a process is: ours, an engine's beneath us, or a peer's server. */
export type Group = 'ours' | 'engine' | 'server';
export type Measured = { name: string; group: Group; pid: number };

type Started = { name: string; group: Group; child: ChildProcess; ended: string | undefined; measured: boolean };
export type SpawnOptions = {
  env?: Record<string, string>;
  /** Resolves once this port is open. */
  port?: number;
  readyMs?: number;
  group?: Group;
  /** Counted in memory and CPU. */
  measured?: boolean;
};

/** A private folder and the servers of one workload, which surely end: their pids are on file for the parent. */
export class ServerHost {
  readonly folder: string;
  /** Counts what happens while CPU is measured, where that was asked for. */
  costs: CostMeter | undefined;
  readonly #started: Started[] = [];
  #adopted: Measured[] = [];

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  file(name: string, text: string): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  mkdir(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** @throws Error where the server ends, or its port isn't open in time; its log's last lines are in the message. */
  async spawn(
    name: string,
    command: string,
    args: readonly string[],
    options: SpawnOptions = {},
  ): Promise<ChildProcess> {
    const { env = {}, port, readyMs = 60_000, group = 'server', measured = true } = options;
    const log = openSync(this.#logOf(name), 'a');
    const child = spawn(command, args, {
      cwd: this.folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log],
    });
    const started: Started = { name, group, child, ended: undefined, measured };
    child.on('error', (error) => {
      started.ended = error.message;
    });
    child.on('exit', (code, signal) => {
      started.ended ??= String(code ?? signal);
    });
    if (child.pid !== undefined)
      appendFileSync(pidsFile(this.folder), `${JSON.stringify({ pid: child.pid, startedAt: startTime(child.pid) })}\n`);
    this.#started.push(started);
    if (port !== undefined) await this.until(name, readyMs, () => portOpen(port));
    return child;
  }

  /** Waits until `holds`; @throws Error where the server `name` ends before, or it takes longer than `ms`. */
  async until(name: string, ms: number, holds: () => Promise<boolean> | boolean): Promise<void> {
    const server = this.#started.find((one) => one.name === name);
    for (const end = Date.now() + ms; Date.now() < end; await sleep(100)) {
      if (server?.ended !== undefined)
        throw new Error(`${name} ended at start (${server.ended}): ${this.#lastWords(name)}`);
      if (await holds()) return;
    }
    throw new Error(`${name} was not ready within ${ms} ms: ${this.#lastWords(name)}`);
  }

  /** Counts processes that somebody else started, and ends; replaces what was adopted before. */
  adopt(processes: readonly Measured[]): void {
    this.#adopted = [...processes];
  }

  /** Every process whose memory and CPU count. */
  measured(): Measured[] {
    const own = this.#started.filter((one) => one.measured && one.ended === undefined && one.child.pid !== undefined);
    return [...own.map(({ name, group, child }) => ({ name, group, pid: child.pid as number })), ...this.#adopted];
  }

  pids(group?: Group): number[] {
    return this.measured().flatMap((one) => (group === undefined || one.group === group ? [one.pid] : []));
  }

  async stop(): Promise<void> {
    for (const { child } of [...this.#started].reverse())
      if (child.pid !== undefined) await endProcess(child.pid, 20_000);
  }

  #logOf(name: string): string {
    return join(this.folder, `${name}.log.txt`);
  }

  #lastWords(name: string): string {
    const lines = readFileSync(this.#logOf(name), 'utf8').trim().split('\n');
    return lines.slice(-5).join(' | ').slice(-600);
  }
}

const pidsFile = (folder: string): string => join(folder, 'pids.jsonl');

/** For the parent of a worker that was killed: ends what it left behind, where pid and start time still match. */
export async function endLeftovers(folder: string): Promise<number> {
  let lines: string[] = [];
  try {
    lines = readFileSync(pidsFile(folder), 'utf8').trim().split('\n').reverse();
  } catch {
    return 0;
  }
  let ended = 0;
  for (const line of lines) {
    const { pid, startedAt } = JSON.parse(line) as { pid: number; startedAt?: string };
    if (startedAt === undefined || !isAlive(pid, startedAt)) continue;
    ended++;
    await endProcess(pid, 20_000);
  }
  return ended;
}
