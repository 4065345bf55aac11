import { readdirSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

/** Ticks a second of /proc/<pid>/stat: 100 on every Linux that Node runs on. */
const CLOCK_TICKS = 100;

export const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Fields of /proc/<pid>/stat after the command's name; the first is the state. */
function statFields(pid: number): string[] | undefined {
  const stat = readOrEmpty(`/proc/${pid}/stat`);
  return stat === '' ? undefined : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** When the process began, in ticks since boot: with the pid it names a process for good. */
export const startTime = (pid: number): string | undefined => statFields(pid)?.[19];

export function isAlive(pid: number, startedAt?: string): boolean {
  const fields = statFields(pid);
  return fields !== undefined && fields[0] !== 'Z' && (startedAt === undefined || fields[19] === startedAt);
}

/** The processes and all their descendants that live. */
export function processTree(pids: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statFields(Number(name))?.[1] ?? Number.NaN);
    const siblings = children.get(parent);
    if (siblings) siblings.push(Number(name));
    else children.set(parent, [Number(name)]);
  }
  const found = new Set<number>();
  const walk = (pid: number) => {
    if (found.has(pid)) return;
    found.add(pid);
    for (const child of children.get(pid) ?? []) walk(child);
  };
  for (const pid of pids) walk(pid);
  return [...found].filter((pid) => isAlive(pid));
}

/** Memory in use by the processes and what they started. */
export const rssBytes = (pids: readonly number[]): number => rssOfThese(processTree(pids));

/** Memory in use by these processes alone: cheap, for nothing else of /proc is read. */
export function rssOfThese(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids)
    sum += Number(/^VmRSS:\s+(\d+) kB/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
  return sum;
}

/** CPU seconds, user and system, used so far by the processes and what they started. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of processTree(pids)) {
    const fields = statFields(pid);
    ticks += Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0);
  }
  return ticks / CLOCK_TICKS;
}

/** Bytes that the files below take on disk, logs of ours left out. */
export function diskBytes(folder: string): number {
  let sum = 0;
  let items: { name: string; isDirectory(): boolean }[] = [];
  try {
    items = readdirSync(folder, { withFileTypes: true });
  } catch {
    return 0;
  }
  for (const item of items) {
    const path = join(folder, item.name);
    if (item.isDirectory()) sum += diskBytes(path);
    else if (!item.name.endsWith('.log.txt') && !item.name.endsWith('.log'))
      sum += (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return sum;
}

export function portOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** TERM, then KILL after `graceMs`, each process of the tree by its pid and start time. */
export async function endProcess(pid: number, graceMs = 8_000): Promise<void> {
  const tree = processTree([pid]).map((one) => ({ pid: one, startedAt: startTime(one) }));
  if (tree.length === 0) return;
  signal(pid, 'SIGTERM');
  for (let waited = 0; waited < graceMs && isAlive(pid); waited += 100) await sleep(100);
  for (const one of tree)
    if (one.startedAt !== undefined && isAlive(one.pid, one.startedAt)) signal(one.pid, 'SIGKILL');
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has just ended.
  }
}
