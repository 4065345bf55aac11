import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { unwatch, watch } from './watchdog.ts';

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type Child = {
  pid: number;
  /** Resolves when the process has ended, whoever ended it. */
  exited: Promise<Exit>;
  hasExited(): boolean;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after graceMs; 0 kills at once. Resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
};

export type ChildOptions = {
  command: string;
  args: readonly string[];
  env?: Record<string, string | undefined>;
  cwd?: string;
  onLine(line: string, stream: 'out' | 'err'): void;
};

const alive = new Set<Child>();

/** Ends whatever this process has started and still runs, at once. */
export async function endAllChildren(): Promise<void> {
  await Promise.all([...alive].map((child) => child.stop(0)));
}

/** A line longer than this is cut: a child that prints no newline must not fill our memory. */
const LINE_MAX = 16_384;

/**
 * Starts a process that ends with this one, SIGKILL included. It begins as a shell that waits for a word from us: by then
 * the watchdog knows it, and where we die before, there is nothing to end.
 */
export function startChild({ command, args, env, cwd, onLine }: ChildOptions): Child {
  const gate = ['-c', 'read -r go && exec "$@" </dev/null', 'sh', command, ...args];
  // Its own group: Ctrl-C in a terminal goes to the launcher alone, which then stops its children in order.
  const started = spawn('/bin/sh', gate, {
    detached: true,
    cwd,
    env: env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { pid } = started;
  if (pid === undefined) throw new Error(`cannot start ${command}: /bin/sh did not start`);
  watch(pid);
  started.stdin.on('error', () => {});
  started.stdin.end('go\n');
  forEachLine(started.stdout, (line) => onLine(line, 'out'));
  forEachLine(started.stderr, (line) => onLine(line, 'err'));

  let ended = false;
  const exited = exitOf(started).then((exit) => {
    ended = true;
    killGroup(pid, 'SIGKILL');
    unwatch(pid);
    return exit;
  });
  const kill = (signal: NodeJS.Signals) => {
    if (!ended) killGroup(pid, signal);
  };
  const child: Child = {
    pid,
    exited,
    hasExited: () => ended,
    kill,
    async stop(graceMs) {
      const timer = setTimeout(() => kill('SIGKILL'), graceMs);
      kill(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
      // A process that somebody stopped (SIGSTOP) would not see the SIGTERM.
      kill('SIGCONT');
      await exited;
      clearTimeout(timer);
    },
  };
  alive.add(child);
  exited.then(() => alive.delete(child));
  return child;
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Already gone.
  }
}

function forEachLine(stream: Readable, take: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = (lines.pop() ?? '').slice(0, LINE_MAX);
    for (const line of lines) take(line.slice(0, LINE_MAX));
  });
  stream.on('end', () => {
    if (rest !== '') take(rest);
  });
}
