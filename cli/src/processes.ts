import { readFileSync } from 'node:fs';
import type { RunFile } from './run-file.ts';

export type ProcessState = {
  name: string;
  kind: 'gateway' | 'service' | 'engine';
  pid: number | undefined;
  alive: boolean;
  rssBytes: number | undefined;
};

/** Every process that run.json names, and whether it lives. An engine without a pid is somebody else's: taken as alive. */
export function processStates(run: RunFile): ProcessState[] {
  const state = (kind: ProcessState['kind']) => (item: { name: string; pid?: number }) => ({
    name: item.name,
    kind,
    pid: item.pid,
    alive: item.pid === undefined || isAlive(item.pid),
    rssBytes: item.pid === undefined ? undefined : rssBytes(item.pid),
  });
  return [
    ...run.engines.map(state('engine')),
    ...run.gateways.map(state('gateway')),
    ...run.services.map(state('service')),
  ];
}

/** A process that may not be signalled by us lives all the same; one that waits to be collected doesn't. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return true;
  }
}

function rssBytes(pid: number): number | undefined {
  try {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}
