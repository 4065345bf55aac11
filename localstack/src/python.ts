import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { onPath } from './toolchain.ts';

/** LocalStack's last release without a token runs from it, and all pins were made for it. */
const VERSION = '3.11';
const PROBE = 'import ensurepip, sys; print("%d.%d" % sys.version_info[:2])';

/** A Python of that version that can make a venv. @throws Error that names the one command, where there is none */
export function findPython(wantedBy: string): string {
  const found = [`python${VERSION}`, 'python3'].find((command) => answers(command));
  if (found === undefined)
    throw new Error(`${wantedBy}: Python ${VERSION} with its venv module is needed. ${howToInstall()}`);
  return found;
}

/** By running it: one on the PATH may be a stub, or lack ensurepip, which Debian ships apart. */
function answers(command: string): boolean {
  if (!onPath(command)) return false;
  try {
    const said = execFileSync(command, ['-c', PROBE], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return said.trim() === VERSION;
  } catch {
    return false;
  }
}

function howToInstall(): string {
  if (process.platform === 'darwin') return `Run: brew install python@${VERSION}`;
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  if (existsSync('/etc/debian_version')) return `Run: ${sudo}apt-get install -y python${VERSION}-venv`;
  if (onPath('dnf')) return `Run: ${sudo}dnf install -y python${VERSION}`;
  return `Install Python ${VERSION} with the package manager of your system, or set SNS_ENDPOINT`;
}
