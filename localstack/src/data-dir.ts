import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tryLock } from './file-lock.ts';
import { readRunFile, removeRunFile } from './run-file.ts';

const GONE_WITHIN_MS = 5000;

/**
 * Makes the folder ours: two launchers must not write the same data. One that was killed has left its lock behind, and for a
 * moment its processes, which the watchdog is just ending.
 * @returns what gives it up
 * @throws Error that names the process that has it
 */
export async function claimDataDir(dataDir: string): Promise<() => void> {
  mkdirSync(join(dataDir, 'logs'), { recursive: true, mode: 0o700 });
  const lock = tryLock(join(dataDir, 'launcher.lock'));
  if ('heldBy' in lock) {
    throw new Error(
      `${dataDir} is in use by another npm start (pid ${lock.heldBy.pid}): stop that one, or set DATA_DIR and PORT to others`,
    );
  }
  await formerProcessesGone(dataDir);
  removeRunFile(dataDir);
  setLogsAside(join(dataDir, 'logs'));
  return () => lock.release();
}

/** run.json of a launcher that stopped in order is gone; what is left of one that was killed names its processes. */
async function formerProcessesGone(dataDir: string): Promise<void> {
  const run = readRunFile(dataDir);
  if (!run) return;
  const pids = [...run.gateways, ...run.services, ...run.engines].flatMap(({ pid }) =>
    pid === undefined ? [] : [pid],
  );
  const deadline = Date.now() + GONE_WITHIN_MS;
  // Bounded, for another process may have been given one of these numbers since.
  while (pids.some(isRunning) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function setLogsAside(logs: string): void {
  for (const name of readdirSync(logs)) {
    if (name.endsWith('.log')) renameSync(join(logs, name), join(logs, `${name}.1`));
  }
}

/** The secret that development tokens are signed with: made once, so that they outlive a restart. */
export const developmentSecret = (dataDir: string): string => keptSecret(dataDir, 'jwt-secret');

/** What opens the operator's page, likewise. */
export const developmentAdminToken = (dataDir: string): string => keptSecret(dataDir, 'admin-token');

function keptSecret(dataDir: string, name: string): string {
  const path = join(dataDir, name);
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' });
  return readFileSync(path, 'utf8').trim();
}
