import { expect, it, vi } from 'vitest';
import { startChild } from './child.ts';
import { type Running, supervise } from './supervisor.ts';

function sleeper(): Running {
  const child = startChild({ command: 'sleep', args: ['60'], onLine: () => {} });
  return { pid: child.pid, exited: child.exited, stop: () => child.stop(5000), kill: () => child.stop(0) };
}

const SOON = { timeout: 20_000, interval: 20 };

it('starts again what ends, also where a start fails, and nothing after stop', async () => {
  const started: number[] = [];
  const said: string[] = [];
  let failures = 1;
  const first = sleeper();
  const supervised = supervise(first, {
    name: 'sleeper',
    start: async () => {
      if (failures-- > 0) throw new Error('no memory');
      return sleeper();
    },
    onRestart: ({ pid }) => started.push(pid),
    say: (line) => said.push(line),
  });
  expect(supervised.current().pid).toBe(first.pid);
  process.kill(first.pid, 'SIGKILL');
  await vi.waitFor(() => expect(started).toHaveLength(1), SOON);
  expect(said).toEqual([
    `sleeper (pid ${first.pid}) ended, by SIGKILL: starting it again`,
    'sleeper does not start: no memory',
  ]);
  expect(supervised.current().pid).toBe(started[0]);
  await supervised.stop();
  expect(() => process.kill(started[0]!, 0)).toThrow();
  expect(said).toHaveLength(2);
});
