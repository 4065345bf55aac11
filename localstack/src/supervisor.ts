import { backoffMs, sleep } from '@restante/shared/runtime/sleep';
import type { Exit } from './child.ts';

/** A process that runs: an engine or a service. */
export type Running = { pid: number; exited: Promise<Exit>; stop(): Promise<void>; kill(): Promise<void> };

export type Supervised = {
  /** The process that runs now; while it is being started again, its last one. */
  current(): Running;
  /** Ends it for good, in order; or at once. One that is just being started again is ended as soon as it has started. */
  stop(): Promise<void>;
  kill(): Promise<void>;
};

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 10_000;
/** Whatever ran for this long has started well: the next time it dies, the delays begin anew. */
const STEADY_MS = 30_000;

export type Supervision = {
  name: string;
  start(): Promise<Running>;
  /** After each start but the first. */
  onRestart(running: Running): void;
  say(line: string): void;
};

/**
 * Keeps a process running: starts it again whenever it ends, with a delay that doubles up to 10 s. It never gives up: what
 * is missing (a port, memory) may come back, and each try is said.
 * @param first the process, already started: whether the first start works is for the caller to judge
 */
export function supervise(first: Running, { name, start, onRestart, say }: Supervision): Supervised {
  const stopping = new AbortController();
  let current = first;
  let attempt = 0;

  const loop = async () => {
    for (;;) {
      const began = Date.now();
      const exit = await current.exited;
      if (stopping.signal.aborted) return;
      if (Date.now() - began > STEADY_MS) attempt = 0;
      say(`${name} (pid ${current.pid}) ended, ${describe(exit)}: starting it again`);
      if (!(await startAgain())) return;
    }
  };
  const startAgain = async (): Promise<boolean> => {
    for (;;) {
      await sleep(backoffMs(attempt++, FIRST_DELAY_MS, LONGEST_DELAY_MS), stopping.signal);
      if (stopping.signal.aborted) return false;
      try {
        const started = await start();
        current = started;
        if (stopping.signal.aborted) {
          await started.kill();
          return false;
        }
        onRestart(started);
        return true;
      } catch (error) {
        say(`${name} does not start: ${error instanceof Error ? error.message : error}`);
      }
    }
  };
  void loop();

  const end = async (how: 'stop' | 'kill') => {
    stopping.abort();
    await current[how]();
  };
  return { current: () => current, stop: () => end('stop'), kill: () => end('kill') };
}

function describe({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : `by ${signal}`;
}
