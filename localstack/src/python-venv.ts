import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheRoot, run } from './engine-files.ts';
import { lock } from './file-lock.ts';
import { findPython } from './python.ts';
import type { Report } from './report.ts';

/**
 * The venv with the packages of a file of pins, all of them named there, made once for every clone, in the folder of the engines; it appears
 * whole or not at all.
 */
export async function pinnedVenv(name: string, pins: string, report: Report = () => {}): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`).update(readFileSync(pins));
  const cache = join(cacheRoot(), `${name}-${hash.digest('hex').slice(0, 16)}`);
  const venv = join(cache, 'venv');
  if (existsSync(venv)) return venv;
  const python = findPython(name);
  mkdirSync(cache, { recursive: true });
  const held = await lock(join(cache, 'lock'), ({ pid }) => {
    if (pid !== process.pid) report(`${name}: process ${pid} is installing it, waiting for it`);
  });
  // Its scripts name this folder, but nothing runs them: its Python finds the packages beside itself, wherever that is.
  const draft = join(cache, `venv.${process.pid}.${randomBytes(4).toString('hex')}`);
  try {
    if (existsSync(venv)) return venv;
    await install({ name, pins, python, venv: draft, report });
    renameSync(draft, venv);
    return venv;
  } finally {
    rmSync(draft, { recursive: true, force: true });
    held.release();
  }
}

type Install = { name: string; pins: string; python: string; venv: string; report: Report };

async function install({ name, pins, python, venv, report }: Install): Promise<void> {
  const began = Date.now();
  let packages = 0;
  report(`${name}: installing by pip (once for every clone on this machine)`);
  await run(python, ['-m', 'venv', venv]);
  const onLine = (line: string) => {
    if (line.startsWith('Collecting ') && ++packages % 20 === 0) report(`${name}: ${packages} packages`);
    if (line.startsWith('Installing collected packages')) report(`${name}: unpacking ${packages} packages`);
  };
  const options = ['--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '--no-deps'];
  await run(join(venv, 'bin', 'python'), ['-m', 'pip', 'install', ...options, '-r', pins], onLine);
  report(`${name}: installed, ${packages} packages in ${((Date.now() - began) / 1000).toFixed(0)} s`);
}
