import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Engine, type EngineOptions, startEngine } from './engine.ts';
import { cacheRoot, run } from './engine-files.ts';
import { lock } from './file-lock.ts';
import { freePort } from './ports.ts';
import { findPython } from './python.ts';
import type { Report } from './report.ts';

/** Every package of the venv: with other versions, or without moto, its plug-ins fail to import, and it starts with no service at all. */
const PINS = fileURLToPath(new URL('../localstack-4.13.1-pins.txt', import.meta.url));

/** LocalStack with SNS, on 127.0.0.1. It keeps nothing: what was made in it has to be made again when it was ended. */
export async function startSns(options: EngineOptions, report: Report = () => {}): Promise<Engine> {
  const venv = await localstackVenv(report);
  const { dataDir } = options;
  const port = options.port ?? (await freePort());
  mkdirSync(dataDir, { recursive: true });
  const url = `http://127.0.0.1:${port}`;
  return startEngine({
    name: 'sns',
    url,
    logFile: options.logFile ?? join(dataDir, 'sns.log'),
    readyWhen: () => runsSns(url),
    command: join(venv, 'bin', 'python'),
    args: ['-m', 'localstack.runtime.main'],
    env: {
      ...process.env,
      PYTHONUNBUFFERED: '1',
      // Of IPv6 form, as it listens on every address where it is given a plain 127.0.0.1.
      GATEWAY_LISTEN: `[::ffff:127.0.0.1]:${port}`,
      LOCALSTACK_HOST: `127.0.0.1:${port}`,
      SQS_ENDPOINT_STRATEGY: 'off',
      SERVICES: 'sns,sqs,sts',
      EAGER_SERVICE_LOADING: '1',
      // Nothing of it asks the internet.
      DISABLE_EVENTS: '1',
      SKIP_SSL_CERT_DOWNLOAD: '1',
      DNS_ADDRESS: '0',
      FILESYSTEM_ROOT: dataDir,
    },
  });
}

async function runsSns(url: string): Promise<boolean> {
  const response = await fetch(`${url}/_localstack/health`, { signal: AbortSignal.timeout(2000) });
  const { services } = (await response.json()) as { services?: { sns?: string } };
  return response.ok && (services?.sns === 'running' || services?.sns === 'available');
}

/** The venv with LocalStack, made once for every clone, in the folder of the other engines; it appears whole or not at all. */
async function localstackVenv(report: Report): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}`).update(readFileSync(PINS));
  const cache = join(cacheRoot(), `localstack-${hash.digest('hex').slice(0, 16)}`);
  const venv = join(cache, 'venv');
  if (existsSync(venv)) return venv;
  const python = findPython();
  mkdirSync(cache, { recursive: true });
  const held = await lock(join(cache, 'lock'), ({ pid }) => {
    if (pid !== process.pid) report(`sns: process ${pid} is installing LocalStack, waiting for it`);
  });
  // Its scripts name this folder, but nothing runs them: its Python finds the packages beside itself, wherever that is.
  const draft = join(cache, `venv.${process.pid}.${randomBytes(4).toString('hex')}`);
  try {
    if (existsSync(venv)) return venv;
    await install(python, draft, report);
    renameSync(draft, venv);
    return venv;
  } finally {
    rmSync(draft, { recursive: true, force: true });
    held.release();
  }
}

async function install(python: string, venv: string, report: Report): Promise<void> {
  const began = Date.now();
  let packages = 0;
  report('sns: installing LocalStack by pip (once for every clone on this machine)');
  await run(python, ['-m', 'venv', venv]);
  const onLine = (line: string) => {
    if (line.startsWith('Collecting ') && ++packages % 20 === 0) report(`sns: ${packages} packages`);
    if (line.startsWith('Installing collected packages')) report(`sns: unpacking ${packages} packages`);
  };
  const options = ['--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '--no-deps'];
  await run(join(venv, 'bin', 'python'), ['-m', 'pip', 'install', ...options, '-r', PINS], onLine);
  report(`sns: installed, ${packages} packages in ${((Date.now() - began) / 1000).toFixed(0)} s`);
}
