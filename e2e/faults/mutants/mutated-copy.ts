import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutant, mutate } from './mutants.ts';

/** What services and their tests are made of. */
const COPIED = ['shared', 'gateway', 'messaging', 'notification', 'localstack'];
const PARTS = ['src', 'dist', 'package.json', 'tsconfig.json', 'java', 'pom.xml'];
const SINGLE = ['package.json', 'vitest.config.ts', 'tsconfig.base.json', 'e2e/support', 'e2e/package.json'];

export type MutatedCopy = { root: string; remove(): void };

/** The services as they are built, beside the originals, with one mistake in them. The packages of others are linked, ours are copies. */
export function makeMutatedCopy(root: string, mutant: Mutant): MutatedCopy {
  const copy = mkdtempSync(join(tmpdir(), 'restante-mutant-'));
  for (const workspace of COPIED)
    for (const part of PARTS) copyIfThere(join(root, workspace, part), join(copy, workspace, part));
  for (const part of SINGLE) copyIfThere(join(root, part), join(copy, part));
  linkPackages(root, copy);
  const file = join(copy, mutant.file);
  writeFileSync(file, mutate(mutant, readFileSync(file, 'utf8')));
  const workspace = mutant.file.split('/')[0]!;
  execFileSync(process.execPath, [join(root, 'scripts', 'transpile.mjs')], { cwd: join(copy, workspace) });
  return { root: copy, remove: () => rmSync(copy, { recursive: true, force: true }) };
}

function copyIfThere(from: string, to: string): void {
  if (existsSync(from)) cpSync(from, to, { recursive: true });
}

function linkPackages(root: string, copy: string): void {
  const [from, to] = [join(root, 'node_modules'), join(copy, 'node_modules')];
  mkdirSync(join(to, '@restante'), { recursive: true });
  for (const name of readdirSync(from)) if (name !== '@restante') symlinkSync(join(from, name), join(to, name));
  for (const workspace of COPIED) {
    symlinkSync(join(copy, workspace), join(to, '@restante', workspace));
    const own = join(root, workspace, 'node_modules');
    if (existsSync(own)) symlinkSync(own, join(copy, workspace, 'node_modules'));
  }
}
