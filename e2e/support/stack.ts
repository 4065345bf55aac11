import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChild } from '@restante/localstack/child';
import { type RunFile, readRunFile } from '@restante/localstack/run-file';
import { SignJWT } from 'jose';

export type StackOptions = {
  /** Settings, over those of this process. */
  env?: Record<string, string>;
  gateways?: number;
  messaging?: number;
  notification?: number;
};

export type Stack = {
  /** The launcher's. */
  pid: number;
  /** Where its data, logs, run.json and pushes.jsonl are; gone after stop(). */
  dir: string;
  /** run.json as it is now: pids change when something is started again. */
  readonly run: RunFile;
  gatewayUrls: string[];
  /** What the launcher has printed so far. */
  readonly output: string;
  /** A token as development gateways take it, good for an hour. */
  token(user: string, claims?: Record<string, unknown>): Promise<string>;
  /** Sends a signal to a service or an engine by its name in run.json. @returns the pid that got it */
  killService(name: string, signal?: NodeJS.Signals): number;
  /** Ends it in order, as SIGTERM does. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): Promise<void>;
};

const MAIN = fileURLToPath(new URL('../../localstack/dist/main.js', import.meta.url));
const BOOT_MS = 120_000;
const STOP_MS = 60_000;
/** Engines of its own: the integration tests' would see its faults. */
const NOT_INHERITED = [
  'KAFKA_BROKERS',
  'REDIS_URL',
  'DYNAMODB_ENDPOINT',
  'SNS_ENDPOINT',
  'DATA_DIR',
  'JWT_SECRET',
  'NODE_ENV',
];

/** Starts the real launcher with everything, on free ports, its data in a folder of its own. It ends with this process. */
export async function startStack({
  env = {},
  gateways = 2,
  messaging = 1,
  notification = 1,
}: StackOptions = {}): Promise<Stack> {
  const dir = mkdtempSync(join(tmpdir(), 'restante-stack-'));
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !NOT_INHERITED.includes(name)));
  const counts = { GATEWAYS: String(gateways), MESSAGING: String(messaging), NOTIFICATION: String(notification) };
  const lines: string[] = [];
  let onReady = () => {};
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  const launcher = startChild({
    command: process.execPath,
    args: ['--enable-source-maps', MAIN],
    env: { ...inherited, ...counts, PORT: '0', ADMIN_PORT: '0', ...env, DATA_DIR: dir },
    onLine: (line) => {
      lines.push(line);
      if (line.startsWith('ready')) onReady();
    },
  });
  const end = async (graceMs: number) => {
    await launcher.stop(graceMs);
    rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  const failure = await Promise.race([ready, ended(launcher.exited), timeout(BOOT_MS)]);
  if (failure) {
    await end(0);
    throw new Error(`the stack ${failure}:\n${lines.join('\n')}`);
  }

  const current = () => {
    const run = readRunFile(dir);
    if (!run) throw new Error(`there is no run.json in ${dir}`);
    return run;
  };
  return {
    pid: launcher.pid,
    dir,
    get run() {
      return current();
    },
    gatewayUrls: current().gateways.map(({ url }) => url),
    get output() {
      return lines.join('\n');
    },
    token: (user, claims = {}) => developmentToken(current().jwtSecret, user, claims),
    killService(name, signal = 'SIGKILL') {
      const { gateways, services, engines } = current();
      const pid = [...gateways, ...services, ...engines].find((process) => process.name === name)?.pid;
      if (pid === undefined) throw new Error(`run.json names no process ${name}`);
      process.kill(pid, signal);
      return pid;
    },
    stop: () => end(STOP_MS),
    kill: () => end(0),
  };
}

/** Signs a token as the development gateways take it. Claims may replace any of its own. */
function developmentToken(secret: string, user: string, claims: Record<string, unknown> = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ sub: user, aud: 'restante', iat: now, exp: now + 3600, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret));
}

async function ended(exited: Promise<{ code: number | null; signal: string | null }>): Promise<string> {
  const { code, signal } = await exited;
  return `ended (${signal ?? code}) before it was ready`;
}

function timeout(ms: number): Promise<string> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(`was not ready within ${ms / 1000} s`), ms).unref();
  });
}
