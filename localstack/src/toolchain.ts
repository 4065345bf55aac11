import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { startChild } from './child.ts';
import type { Report } from './report.ts';

const JAVA_LEAST = 17;

/** The first file of that name on the PATH that may be run. */
export function onPath(name: string): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next one.
    }
  }
  return undefined;
}

/**
 * Sees to Java, its compiler and Maven. Where the system is Debian or Ubuntu and we are root, what is missing is installed:
 * that needs no question. Elsewhere the error names the one command.
 */
export async function ensureToolchain(report: Report): Promise<void> {
  const missing = missingTools();
  if (missing.length === 0) return;
  const needs = `Java ≥ ${JAVA_LEAST} (a JDK) and Maven are needed; missing: ${missing.join(', ')}`;
  if (!(existsSync('/etc/debian_version') && process.getuid?.() === 0)) throw new Error(`${needs}. ${howToInstall()}`);
  report(`${needs}: installing them by apt-get`);
  await apt(['update', '-q'], report);
  await apt(['install', '-y', '-q', '--no-install-recommends', 'default-jdk-headless', 'maven'], report);
  const still = missingTools();
  if (still.length > 0)
    throw new Error(`apt-get has installed default-jdk-headless and maven, but still missing: ${still.join(', ')}`);
}

function missingTools(): string[] {
  const missing: string[] = [];
  const version = versionOf('javac', /javac (\d+)/);
  if (!onPath('java') || version === undefined) missing.push('a JDK (java and javac)');
  else if (version < JAVA_LEAST) missing.push(`a newer JDK than ${version}`);
  if (!onPath('mvn')) missing.push('mvn');
  return missing;
}

/** undefined where it can't be run: macOS has a stub on the PATH that only says that there is no Java. */
function versionOf(command: string, pattern: RegExp): number | undefined {
  try {
    const text = execFileSync(command, ['-version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    const major = Number(pattern.exec(text)?.[1]);
    return Number.isNaN(major) ? undefined : major;
  } catch {
    return undefined;
  }
}

function howToInstall(): string {
  if (process.platform === 'darwin')
    return 'Run: brew install openjdk@21 maven (and add its bin folder to the PATH, as brew says)';
  if (existsSync('/etc/debian_version')) return 'Run: sudo apt-get install -y default-jdk-headless maven';
  if (onPath('dnf')) return 'Run: sudo dnf install -y java-21-openjdk-devel maven';
  if (onPath('pacman')) return 'Run: sudo pacman -S --noconfirm jdk-openjdk maven';
  return 'Install a JDK and Maven with the package manager of your system';
}

async function apt(args: string[], report: Report): Promise<void> {
  const said: string[] = [];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const child = startChild({
    command: 'apt-get',
    args,
    env,
    onLine: (line) => {
      said.push(line);
      if (/^(Get:|Unpacking|Setting up)/.test(line)) report(`apt-get: ${line.slice(0, 100)}`);
    },
  });
  const { code } = await child.exited;
  if (code !== 0) throw new Error(`apt-get ${args.join(' ')} failed (${code}):\n${said.slice(-10).join('\n')}`);
}
