import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createConsole } from './console.ts';
import { Launcher } from './launcher.ts';
import type { RunFile } from './run-file.ts';

/** A terminal sends Ctrl-C to npm and to us, and npm passes it on: these two are one. */
const SAME_SIGNAL_MS = 500;

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
const root = process.env.RESTANTE_ROOT ?? fileURLToPath(new URL('../..', import.meta.url));
const out = createConsole(Date.now());
const launcher = new Launcher({ env: process.env, root, console: out });
let stoppingSince: number | undefined;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void onSignal(signal));
process.on('uncaughtException', (error) => void fail(error));

try {
  const run = await launcher.boot();
  if (stoppingSince === undefined) out.ready(readyLines(run));
} catch (error) {
  // While stopping, what could not be started any more is no failure.
  if (stoppingSince === undefined) await fail(error);
}

async function onSignal(signal: string): Promise<void> {
  if (stoppingSince !== undefined) {
    if (Date.now() - stoppingSince < SAME_SIGNAL_MS) return;
    out.step('stopping at once');
    await launcher.kill();
    process.exit(0);
  }
  stoppingSince = Date.now();
  out.step(`${signal}: stopping (once more stops at once)`);
  await launcher.stop();
  out.step('stopped');
  process.exit(0);
}

async function fail(error: unknown): Promise<never> {
  out.fail(error instanceof Error ? error.message : String(error));
  await launcher.kill();
  process.exit(1);
}

function operatorUrl({ services }: RunFile): string {
  const host = services.find(({ name }) => name.startsWith('notification-'));
  return host ? `${host.adminUrl}/operator` : 'none, without notification';
}

function readyLines(run: RunFile): string[] {
  const [first] = run.gateways;
  return [
    `ready ${run.gateways.map(({ url }) => url).join(' ')}`,
    `      what runs, and the secret for tokens: ${relative(process.cwd(), launcher.dataDir) || '.'}/run.json; logs beside it`,
    `      in another terminal: npx restante listen bob    and: npx restante send alice bob hello`,
    `      operator's page: ${operatorUrl(run)}    (its token is in run.json)`,
    `      health: ${first?.url}/readyz    metrics: ${first?.adminUrl}/metrics    Ctrl-C stops all of it`,
  ];
}
