// The browser tests need Chromium. Installed where that needs no question (Debian or Ubuntu as root), else named with the one command.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { say } from './setup.mjs';

const PATH = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** @throws Error with the command that gets it, where it isn't there and can't be installed from here */
export function ensureChromium() {
  if (existsSync(PATH)) return;
  const root = process.getuid?.() === 0;
  if (!root || !existsSync('/etc/debian_version') || process.env.CHROMIUM) {
    throw new Error(
      `the browser tests need Chromium, and there is none at ${PATH}. Run: sudo apt-get install -y chromium; or set CHROMIUM=<path>`,
    );
  }
  say('installing chromium by apt-get, for the browser tests');
  for (const args of [
    ['update', '-q'],
    ['install', '-y', '-q', '--no-install-recommends', 'chromium'],
  ]) {
    const { status, stderr } = spawnSync('apt-get', args, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`apt-get ${args.join(' ')} failed (${status}): ${stderr.slice(-500)}`);
  }
  if (!existsSync(PATH)) throw new Error(`apt-get has installed chromium, but there is none at ${PATH}`);
}
