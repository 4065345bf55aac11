import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What runs, for scripts and tests. It says what is true now: whatever is started anew is written here anew. */
export type RunFile = {
  gateways: { name: string; pid: number; url: string; adminUrl: string }[];
  services: { name: string; pid: number; adminUrl: string }[];
  /** One that was there before us (KAFKA_BROKERS and the like) has no pid. `cluster`: Redis, with REDIS_NODES=3. */
  engines: { name: string; pid?: number; url: string; cluster?: true }[];
  jwtSecret: string;
  /** Opens the operator's page and API. */
  adminToken: string;
};

const pathIn = (dataDir: string) => join(dataDir, 'run.json');

/** Whoever reads it finds the last version or this one, never half of it. It holds the secret. */
export function writeRunFile(dataDir: string, run: RunFile): void {
  const path = pathIn(dataDir);
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(run, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(draft, path);
}

export function readRunFile(dataDir: string): RunFile | undefined {
  try {
    return JSON.parse(readFileSync(pathIn(dataDir), 'utf8')) as RunFile;
  } catch {
    return undefined;
  }
}

export function removeRunFile(dataDir: string): void {
  rmSync(pathIn(dataDir), { force: true });
}
