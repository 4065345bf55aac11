import type { RandomBytes } from './ids.ts';

/** Time, from outside, so that a test owns it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs once after `ms`; the result cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** setTimeout holds 31 bits of milliseconds; a longer wait would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/** What the device knows about itself. React Native feeds this from NetInfo and AppState. */
export interface Signals {
  /** False only where the device is sure that it has no network. */
  online(): boolean;
  /** False while the app is in the background. */
  visible(): boolean;
  /** @returns a function that stops the calls */
  subscribe(onChange: () => void): () => void;
}

/** The browser's own events; in Node, always online and visible. */
export function browserSignals(): Signals {
  const doc = typeof document === 'undefined' ? undefined : document;
  const target =
    typeof addEventListener === 'function' && typeof navigator !== 'undefined' && doc ? globalThis : undefined;
  return {
    online: () => target === undefined || navigator.onLine !== false,
    visible: () => doc?.visibilityState !== 'hidden',
    subscribe(onChange) {
      const heard = ['online', 'offline', 'pageshow'];
      const ofDocument = ['visibilitychange', 'resume'];
      for (const name of heard) target?.addEventListener(name, onChange);
      for (const name of ofDocument) doc?.addEventListener(name, onChange);
      return () => {
        for (const name of heard) target?.removeEventListener(name, onChange);
        for (const name of ofDocument) doc?.removeEventListener(name, onChange);
      };
    },
  };
}

/** The part of a WebSocket that the SDK uses: the browser's, React Native's and `ws`'s have it. */
export interface SocketLike {
  readyState: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
}
export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

export type Environment = {
  clock: Clock;
  /** In [0, 1), for jitter only. */
  random: () => number;
  randomBytes: RandomBytes;
  signals: Signals;
  WebSocket: SocketConstructor;
  fetch: typeof globalThis.fetch;
};

/** @throws Error naming what the platform lacks, so that it shows at the start and not at the first message */
export function defaultEnvironment(given: Partial<Environment>): Environment {
  const WebSocketImpl = given.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
  if (WebSocketImpl === undefined)
    throw new Error('no WebSocket here: pass `environment: { WebSocket }` (before Node 22, from the ws package)');
  return {
    clock: given.clock ?? systemClock,
    random: given.random ?? Math.random,
    randomBytes: given.randomBytes ?? cryptoBytes,
    signals: given.signals ?? browserSignals(),
    WebSocket: WebSocketImpl,
    // Called as a method of something else, a browser's fetch throws "Illegal invocation".
    fetch: given.fetch ?? ((input, init) => globalThis.fetch(input, init)),
  };
}

function cryptoBytes(length: number): Uint8Array {
  if (globalThis.crypto === undefined)
    throw new Error('no crypto here: on React Native import react-native-get-random-values first');
  return globalThis.crypto.getRandomValues(new Uint8Array(length));
}
