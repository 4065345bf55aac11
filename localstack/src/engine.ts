import { createWriteStream, existsSync, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs';
import { dirname } from 'node:path';
import { sleep } from '@restante/shared/runtime/sleep';
import { type ChildOptions, type Exit, startChild } from './child.ts';

export type EngineName = 'kafka' | 'redis' | 'dynamodb' | 'sns';

export type Engine = {
  name: string;
  pid: number;
  /** What clients are given: host:port for Kafka, else a URL. */
  url: string;
  exited: Promise<Exit>;
  /** Ends it in order, and by SIGKILL where that takes too long. */
  stop(): Promise<void>;
  /** Ends it at once: for data that nobody wants, and for tests of what a crash does. */
  kill(): Promise<void>;
};

export type EngineOptions = {
  /** Made where it is absent; the engine's data outlives it there. */
  dataDir: string;
  /** A free one is chosen where none is given. */
  port?: number;
  /** Where what it prints goes; by default a file in dataDir. */
  logFile?: string;
};

const BOOT_MS = 60_000;
const STOP_MS = 10_000;
const LOG_MAX_BYTES = 10_000_000;

const READY_POLL_MS = 100;

type Start = Omit<ChildOptions, 'onLine'> & {
  name: string;
  url: string;
  logFile: string;
  /** What it prints once it takes requests, or a question to put to it; one that throws is a no. */
  readyWhen: RegExp | (() => Promise<boolean>);
};

/** Starts an engine and waits until it says that it takes requests. */
export async function startEngine({ name, url, logFile, readyWhen, ...options }: Start): Promise<Engine> {
  const log = openLog(logFile);
  const last: string[] = [];
  let onReady = () => {};
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  const child = startChild({
    ...options,
    onLine: (line) => {
      log.write(line);
      last.push(line);
      if (last.length > 15) last.shift();
      if (readyWhen instanceof RegExp && readyWhen.test(line)) onReady();
    },
  });
  child.exited.then(() => log.close());
  let waiting = true;
  if (!(readyWhen instanceof RegExp)) void poll(readyWhen, () => waiting).then(onReady);
  let timer: NodeJS.Timeout | undefined;
  const failed = Promise.race([
    child.exited.then(({ code, signal }) => `ended (${signal ?? code}) before it was ready`),
    new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`was not ready within ${BOOT_MS / 1000} s`), BOOT_MS);
    }),
  ]);
  const failure = await Promise.race([ready, failed]);
  clearTimeout(timer);
  waiting = false;
  if (failure !== undefined) {
    await child.stop(0);
    throw new Error(`${name} ${failure}; its log: ${logFile}\n${last.join('\n')}`);
  }
  return {
    name,
    url,
    pid: child.pid,
    exited: child.exited,
    stop: () => child.stop(STOP_MS),
    kill: () => child.stop(0),
  };
}

/** Until it says yes or nobody waits any more. */
async function poll(ask: () => Promise<boolean>, isAwaited: () => boolean): Promise<void> {
  while (isAwaited() && !(await ask().catch(() => false))) await sleep(READY_POLL_MS);
}

export type Log = { write(line: string): void; close(): void };

/** A file that is set aside as <file>.1 when it has grown too large: two of them are all there is. */
export function openLog(path: string): Log {
  mkdirSync(dirname(path), { recursive: true });
  let bytes = existsSync(path) ? statSync(path).size : 0;
  let stream: WriteStream | undefined;
  const open = (): WriteStream => {
    const opened = createWriteStream(path, { flags: 'a' });
    // A full disk must not take the launcher down.
    opened.on('error', () => {});
    return opened;
  };
  return {
    write(line) {
      if (bytes > LOG_MAX_BYTES) {
        stream?.end();
        stream = undefined;
        renameSync(path, `${path}.1`);
        bytes = 0;
      }
      stream ??= open();
      bytes += Buffer.byteLength(line) + 1;
      stream.write(`${line}\n`);
    },
    close: () => stream?.end(),
  };
}
