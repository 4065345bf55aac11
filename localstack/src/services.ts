import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, startChild } from './child.ts';
import { openLog } from './engine.ts';
import { summaryOf } from './log-line.ts';
import type { Running } from './supervisor.ts';

export type ServiceSpec = {
  name: string;
  /** The file that Node runs. */
  entry: string;
  env: Record<string, string | undefined>;
  /** Where clients come; only a gateway has one. */
  url?: string;
  adminUrl: string;
  logFile: string;
};

/** More than a service takes to hand over its connections; it stops by itself after 25 s at the latest. */
const STOP_MS = 27_000;

/** Starts a service. What it has to complain about goes to `warn` too, all it says to its log file. */
export function startService(spec: ServiceSpec, warn: (line: string) => void): Running {
  if (!existsSync(spec.entry)) throw new Error(`${spec.name}: ${spec.entry} does not exist; run: npm run build`);
  const log = openLog(spec.logFile);
  const child: Child = startChild({
    command: process.execPath,
    args: ['--enable-source-maps', spec.entry],
    env: spec.env,
    onLine: (line) => {
      log.write(line);
      const summary = summaryOf(line);
      if (summary !== undefined) warn(`${spec.name}: ${summary}`);
    },
  });
  child.exited.then(() => log.close());
  return { pid: child.pid, exited: child.exited, stop: () => child.stop(STOP_MS), kill: () => child.stop(0) };
}

/** Asks /readyz. @returns why it isn't ready, or undefined where it is */
export async function notReady({ url, adminUrl }: Pick<ServiceSpec, 'url' | 'adminUrl'>): Promise<string | undefined> {
  try {
    const response = await fetch(`${url ?? adminUrl}/readyz`, { signal: AbortSignal.timeout(2000) });
    const body = (await response.text()).slice(0, 200);
    return response.status === 200 ? undefined : `${response.status} ${body}`;
  } catch (error) {
    const cause = (error as Error).cause;
    return cause instanceof Error ? cause.message : String(error);
  }
}

/** The entry of a service of this repository. */
export function entryOf(root: string, service: 'gateway' | 'messaging' | 'notification'): string {
  return join(root, service, 'dist', 'main.js');
}
