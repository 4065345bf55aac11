import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import os from 'node:os';
import { dirname } from 'node:path';
import { type Check, fail, ok, warn } from './check.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Engines take about 700 MiB, four services of ours 400 MiB. */
const MEMORY_NEEDED = 1.5 * GIB;
const DISK_NEEDED = GIB;
/** A gateway needs one per connection; below this a few hundred users end it. */
const DESCRIPTORS_WANTED = 4096;

export async function checkMachine(dataDir: string): Promise<Check[]> {
  return [
    judgeMemory(availableMemory()),
    judgeDisk(await freeDisk(dataDir), dataDir),
    judgeDescriptors(descriptorLimit()),
    judgeCores(os.availableParallelism()),
  ];
}

export function judgeMemory(bytes: number): Check {
  const found = `${(bytes / GIB).toFixed(1)} GiB available`;
  return bytes >= MEMORY_NEEDED
    ? ok('Memory', found)
    : warn(
        'Memory',
        found,
        'engines and services together take about 1.2 GiB: end something, or let engines run elsewhere',
      );
}

export function judgeDisk(bytes: number | undefined, dataDir: string): Check {
  if (bytes === undefined)
    return warn('Disk', `unknown for ${dataDir}`, 'see that the folder can be made, or set DATA_DIR');
  const found = `${(bytes / GIB).toFixed(1)} GiB free for ${dataDir}`;
  if (bytes < 200 * MIB)
    return fail('Disk', found, 'Kafka stops writing when its disk is full: free some, or set DATA_DIR');
  return bytes >= DISK_NEEDED ? ok('Disk', found) : warn('Disk', found, 'free some, or set DATA_DIR to another disk');
}

export function judgeDescriptors(limit: number | undefined): Check {
  if (limit === undefined) return ok('File descriptors', 'limit unknown on this system');
  const found = limit === Number.POSITIVE_INFINITY ? 'unlimited' : `${limit}`;
  return limit >= DESCRIPTORS_WANTED
    ? ok('File descriptors', found)
    : warn('File descriptors', found, 'each connection takes one: ulimit -n 65536 before npm start');
}

export function judgeCores(cores: number): Check {
  return cores >= 2
    ? ok('Cores', String(cores))
    : warn('Cores', String(cores), 'it works, but latencies will be far above those in docs/performance.md');
}

/** The hard limit, which Node raises its own to. @returns undefined where /proc is not there */
export function descriptorLimit(limits: string | undefined = readOrUndefined('/proc/self/limits')): number | undefined {
  const hard = limits && /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  if (!hard) return undefined;
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}

/** What a new process can have, with caches that would yield counted in, where the system tells. */
function availableMemory(): number {
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(readOrUndefined('/proc/meminfo') ?? '')?.[1];
  return kib === undefined ? os.freemem() : Number(kib) * 1024;
}

/** Free bytes of the file system that holds the folder, or would hold it. */
async function freeDisk(folder: string): Promise<number | undefined> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    } catch {
      if (path === dirname(path)) return undefined;
    }
  }
}

function readOrUndefined(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
