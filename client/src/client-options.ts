import type { BackoffOptions } from './backoff.ts';
import type { BodyCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import type { Store } from './store/store.ts';
import type { Tabs } from './tabs.ts';
import type { TokenProvider } from './token.ts';

export type ClientOptions = {
  /** Base URL of a gateway, or of several: the client goes on to the next where one fails. */
  url: string | readonly string[];
  /** The token's `sub`. A store belongs to one user. */
  user: string;
  /** Asked before the first connection, and again where a token is refused (4001, 401) or expires (4002). */
  token: TokenProvider;
  /** Where messages are kept: `memoryStore`, `indexedDbStore` or `sqliteStore`. */
  store: Store;
  /** This installation's name, `[A-Za-z0-9_-]{1,64}`; made once and kept in the store where not given. */
  device?: string;
  /** Encrypts bodies on the way, such as `directCodec`. */
  codec?: BodyCodec;
  /** Waits between tries: 2, 4, 8, 16 … s with full jitter, 64 s at most where not given. */
  backoff?: BackoffOptions;
  /** Messages that may wait in the outbox; 10,000 where not given. */
  maxOutbox?: number;
  /** After so many tries that the server refused as retryable, a message is given up; never where not given. */
  maxAttempts?: number;
  /** What the platform lacks (`WebSocket` on Node 20), or a test owns (`clock`, `random`). */
  environment?: Partial<Environment>;
  /** Who of several tabs connects; Web Locks where the browser has them. */
  tabs?: Tabs;
  /** Milliseconds without an answer until a try counts as failed. */
  timeouts?: Partial<Timeouts>;
};

export type Timeouts = {
  /** Until `welcome`; 15 s. */
  connectMs: number;
  /** Without any frame, after which the client pings; 25 s, or the server's heartbeat where that is shorter. */
  silenceMs: number;
  /** For anything after a ping; 8 s. */
  pongMs: number;
  /** For `accepted`; 20 s. */
  acceptMs: number;
  /** For `stored`, after which it is asked for again; 30 s. */
  storeMs: number;
  /** For an HTTP call; 20 s. */
  httpMs: number;
};

export const DEFAULT_TIMEOUTS: Timeouts = {
  connectMs: 15_000,
  silenceMs: 25_000,
  pongMs: 8_000,
  acceptMs: 20_000,
  storeMs: 30_000,
  httpMs: 20_000,
};
