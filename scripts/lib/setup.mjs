// What every script needs first: the right Node, the packages, the build. No dependency may be used here: there may be none yet.
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fail, ROOT, run } from './run.mjs';

const NODE_LEAST = [20, 19];
/** What npm start runs, and the command that people use with it. */
const RUNTIME = ['gateway', 'messaging', 'notification', 'localstack', 'cli', 'client'];

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1])) return;
  fail(`Node ≥ ${NODE_LEAST.join('.')} is needed, this is ${process.versions.node}`);
}

/** Installs the packages where they are not what package-lock.json says. */
export async function install() {
  checkNode();
  if (isInstalled()) return;
  await exclusively('install', async () => {
    if (isInstalled()) return;
    say('installing packages (npm ci)');
    const options = ['--no-audit', '--no-fund', '--loglevel=error'];
    const { code, output } = await run('npm', ['ci', ...options], { quiet: true });
    if (code === 0) return;
    say(`npm ci failed, trying npm install:\n${output.split('\n').slice(0, 6).join('\n')}`);
    const second = await run('npm', ['install', '--no-save', ...options]);
    if (second.code !== 0) fail('npm install failed');
  });
}

/** Compares what npm has installed, by its own account, with the lock file. */
function isInstalled() {
  const wanted = packagesOf(join(ROOT, 'package-lock.json'));
  const there = packagesOf(join(ROOT, 'node_modules', '.package-lock.json'));
  if (!wanted || !there) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.includes('node_modules/')) return true;
    const found = there[path];
    // Those of other systems are left out.
    return found ? found.version === entry.version : entry.optional === true;
  });
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** Builds the packages that have changed since they were built; `more` names others than those that npm start needs. */
export async function build(more = []) {
  await exclusively('build', async () => {
    const filters = [...RUNTIME, ...more].map((name) => `--filter=./${name}`);
    const args = ['run', 'build', ...filters, '--output-logs=errors-only', '--log-prefix=none'];
    const { code, output } = await run('turbo', args, { quiet: true });
    if (code !== 0) fail(`${output}\nthe build failed`);
  });
}

/** Two scripts in one clone take turns. A lock whose process has died, or that is an hour old, counts for nothing. */
async function exclusively(what, work) {
  const path = join(ROOT, `.lock-${what}`);
  const own = String(process.pid);
  for (let waited = false; ; waited = true) {
    try {
      const file = openSync(path, 'wx');
      writeSync(file, own);
      closeSync(file);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isAbandoned(path)) rmSync(path, { force: true });
    else {
      if (!waited) say(`waiting for another ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  const release = () => rmSync(path, { force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

function isAbandoned(path) {
  try {
    if (Date.now() - statSync(path).mtimeMs > 3_600_000) return true;
    const pid = Number(readFileSync(path, 'utf8'));
    // Just made, its number not yet written.
    if (!pid) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH' || !existsSync(path);
  }
}

export function say(line) {
  process.stdout.write(`${line}\n`);
}
