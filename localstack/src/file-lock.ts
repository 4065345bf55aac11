import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

export type Holder = { pid: number; started: string };
export type FileLock = {
  /** Whoever left the lock behind by dying, if anybody did. */ stale: Holder | undefined;
  release(): void;
};

/**
 * Takes the lock file, or says who has it. A holder counts only while its process lives: a number alone is not enough, as
 * it may have been given to another process since, so the time of its start is compared too.
 */
export function tryLock(path: string): FileLock | { heldBy: Holder } {
  const own: Holder = { pid: process.pid, started: startOf(process.pid) };
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, JSON.stringify(own));
  let stale: Holder | undefined;
  try {
    for (;;) {
      if (linked(draft, path)) return { stale, release: () => releaseLock(path, own) };
      const holder = readHolder(path);
      if (holder && isAlive(holder)) return { heldBy: holder };
      stale = holder ?? stale;
      setAside(path, holder);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Like tryLock, but waits for the holder to end or release it. `onWait` is called once. */
export async function lock(path: string, onWait: (holder: Holder) => void): Promise<FileLock> {
  for (let waited = false; ; waited = true) {
    const result = tryLock(path);
    if (!('heldBy' in result)) return result;
    if (!waited) onWait(result.heldBy);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function linked(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Two may find the same stale lock: whoever moves away a lock that was meanwhile taken anew puts it back. */
function setAside(path: string, expected: Holder | undefined): void {
  const aside = `${path}.stale.${randomBytes(4).toString('hex')}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  const moved = readHolder(aside);
  if (moved && JSON.stringify(moved) !== JSON.stringify(expected)) linked(aside, path);
  rmSync(aside, { force: true });
}

function releaseLock(path: string, own: Holder): void {
  const holder = readHolder(path);
  if (holder?.pid === own.pid && holder.started === own.started) rmSync(path, { force: true });
}

function readHolder(path: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(path, 'utf8')) as Holder;
    return Number.isInteger(pid) ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive({ pid, started }: Holder): boolean {
  const now = startOf(pid);
  return now !== '' && (started === '' || now === started);
}

/** When a process was started, in whatever form the system tells it; empty where there is no such process. */
function startOf(pid: number): string {
  try {
    // Field 22; the second is the command in parentheses and may hold spaces. Z is a process that has already ended.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    if (process.platform === 'linux') return '';
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}
