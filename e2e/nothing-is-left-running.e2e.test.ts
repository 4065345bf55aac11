import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { RunFile } from '@restante/localstack/run-file';
import { afterEach, expect, it, vi } from 'vitest';
import { type Stack, startStack } from './support/stack.ts';

const MAIN = fileURLToPath(new URL('../localstack/dist/main.js', import.meta.url));
const SOON = { timeout: 60_000, interval: 50 };
let stack: Stack | undefined;

afterEach(async () => {
  await stack?.kill();
});

const processesOf = ({ gateways, services, engines }: RunFile) => [...gateways, ...services, ...engines];
const pidsOf = (run: RunFile) => processesOf(run).map(({ pid }) => pid!);

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function ready(url: string): Promise<boolean> {
  const response = await fetch(`${url}/readyz`).catch(() => undefined);
  return response?.status === 200;
}

it('whatever is killed runs again, at its address, and run.json says so; SIGTERM ends it all', async () => {
  stack = await startStack();
  const before = stack.run;
  expect(processesOf(before).map(({ name }) => name)).toEqual([
    'gateway-1',
    'gateway-2',
    'messaging-1',
    'notification-1',
    'kafka',
    'redis',
    'dynamodb',
  ]);
  for (const { name } of processesOf(before)) stack.killService(name);
  const current = stack;
  const again = await vi.waitFor(() => {
    const { run } = current;
    for (const pid of pidsOf(run)) {
      expect(pidsOf(before)).not.toContain(pid);
      expect(isRunning(pid)).toBe(true);
    }
    return run;
  }, SOON);
  const addressesOf = (run: RunFile) => [
    ...run.gateways.map(({ url, adminUrl }) => `${url} ${adminUrl}`),
    ...run.services.map(({ adminUrl }) => adminUrl),
    ...run.engines.map(({ url }) => url),
  ];
  expect(addressesOf(again)).toEqual(addressesOf(before));
  const health = [...again.gateways.map(({ url }) => url), ...again.services.map(({ adminUrl }) => adminUrl)];
  for (const url of health) await vi.waitFor(async () => expect(await ready(url)).toBe(true), SOON);

  const last = pidsOf(stack.run);
  await stack.stop();
  expect(stack.output).toContain('stopped');
  expect(last.filter(isRunning)).toEqual([]);
});

it('a second launcher is refused the same data; one that is killed takes everything with it', async () => {
  stack = await startStack({ gateways: 1 });
  const { run, dir, pid } = stack;
  const env = { ...process.env, DATA_DIR: dir, PORT: '0' };
  const second = promisify(execFile)(process.execPath, [MAIN], { env });
  await expect(second).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(`pid ${pid}`) });
  expect(pidsOf(run).filter(isRunning)).toEqual(pidsOf(run));

  process.kill(pid, 'SIGKILL');
  await vi.waitFor(() => expect(pidsOf(run).filter(isRunning)).toEqual([]), SOON);
});
