import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where the install script puts what no system package brings. */
export const PEERS_BIN = fileURLToPath(new URL('../.engines/bin', import.meta.url));

const require = createRequire(import.meta.url);

/** Version of an npm package as installed here; `?` where there is none. */
export function npmVersion(name: string): string {
  for (const folder of require.resolve.paths(name) ?? []) {
    const file = join(folder, name, 'package.json');
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  }
  return '?';
}

/** The first thing like a version in what the command prints. */
export function commandVersion(command: string, args: readonly string[], pattern = /(\d+\.\d+[\w.+-]*)/): string {
  try {
    return (
      pattern.exec(execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }))?.[1] ?? '?'
    );
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    return pattern.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[1] ?? '?';
  }
}

export const debianVersion = (name: string): string => commandVersion('dpkg-query', ['-s', name], /^Version: (\S+)/m);

/** The program in our own folder, on PATH, or where Debian puts daemons; undefined where it isn't installed. */
export function findProgram(name: string): string | undefined {
  const folders = [PEERS_BIN, ...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin'];
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** @throws Error that says how to get it. */
export function program(name: string): string {
  const found = findProgram(name);
  if (found === undefined) throw new Error(`${name} is not installed: npm run bench -- --install-peers`);
  return found;
}
