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

/** The services beside the originals, at one moment: whoever works on those meanwhile changes nothing here. */
export class ServicesCopy {
  readonly root: string;
  readonly #original: string;

  constructor(original: string) {
    this.#original = original;
    this.root = mkdtempSync(join(tmpdir(), 'restante-mutant-'));
    for (const workspace of COPIED)
      for (const part of PARTS) copyIfThere(join(original, workspace, part), join(this.root, workspace, part));
    for (const part of SINGLE) copyIfThere(join(original, part), join(this.root, part));
    linkPackages(original, this.root);
    for (const workspace of COPIED) this.#build(workspace);
  }

  /** Does `work` with one mistake in the services. @throws Error where the mutant fits no more */
  async with<T>(mutant: Mutant, work: () => Promise<T>): Promise<T> {
    const file = join(this.root, mutant.file);
    const workspace = mutant.file.split('/')[0]!;
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, mutate(mutant, text));
    try {
      this.#build(workspace);
      return await work();
    } finally {
      writeFileSync(file, text);
      this.#build(workspace);
    }
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  #build(workspace: string): void {
    const script = join(this.#original, 'scripts', 'transpile.mjs');
    execFileSync(process.execPath, [script], { cwd: join(this.root, workspace) });
  }
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
