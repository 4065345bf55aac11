import type { BackoffOptions } from './backoff.ts';
import {
  type ConnectionEvent,
  type ConnectionState,
  connectionStep,
  initialConnection,
  STABLE_MS,
} from './connection-rules.ts';
import type { Environment, SocketLike } from './environment.ts';
import { type ClientFrame, parseServerFrame, type ServerFrame, SUBPROTOCOL, type WelcomeFrame } from './protocol.ts';
import type { TokenCache } from './token.ts';

export type ConnectionOptions = {
  environment: Environment;
  /** Base URLs of the gateways. */
  urls: readonly string[];
  device: () => Promise<string>;
  token: TokenCache;
  backoff: BackoffOptions;
  /** Without a welcome after this long, the try has failed. */
  connectTimeoutMs: number;
  /** A line that is silent for this long is asked. */
  silenceMs: number;
  /** A ping without any frame after this long: the line is dead. */
  pongTimeoutMs: number;
  onState: (state: ConnectionState) => void;
  onWelcome: (welcome: WelcomeFrame) => void;
  onFrame: (frame: ServerFrame) => void;
  /** The connection that had been welcomed is gone. */
  onGone: () => void;
  /** Every frame as text, for who wants to look. */
  onWire: (direction: 'in' | 'out', text: string) => void;
  onError: (error: unknown) => void;
};

/** Drives one socket at a time by the rules of `connection-rules.ts`. */
export class Connection {
  readonly #options: ConnectionOptions;
  #state: ConnectionState;
  #socket: SocketLike | undefined;
  /** Grows with each try, so that what an older one started is dropped. */
  #attempt = 0;
  #welcomed = false;
  #cancelWait: () => void = () => {};
  #cancelTimer: () => void = () => {};
  #lastHeardAt = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { environment, urls } = options;
    this.#state = initialConnection(environment.signals.online(), Math.floor(environment.random() * urls.length));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  start(): void {
    if (this.#unsubscribe === undefined) {
      const { signals } = this.#options.environment;
      this.#unsubscribe = signals.subscribe(() => {
        const online = signals.online();
        if (online !== this.#state.online) this.#dispatch({ type: online ? 'online' : 'offline' });
        else if (signals.visible()) this.#dispatch({ type: 'visible' });
      });
    }
    this.#dispatch({ type: 'start' });
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#dispatch({ type: 'stop' });
  }

  setLeader(leader: boolean): void {
    this.#dispatch({ type: 'leader', leader });
  }

  /** Asks the other side for a sign of life and closes where none comes. */
  probe(): void {
    if (!this.#welcomed) return;
    const askedAt = this.#options.environment.clock.now();
    this.send({ t: 'ping' });
    this.#timer(this.#options.pongTimeoutMs, () => {
      if (this.#lastHeardAt < askedAt) this.#lost(1006, 'no answer to a ping');
      else this.#scheduleHeartbeat();
    });
  }

  /** @returns false where there is no connection: nothing was sent */
  send(frame: ClientFrame): boolean {
    const socket = this.#socket;
    if (socket === undefined || !this.#welcomed || socket.readyState !== 1) return false;
    const text = JSON.stringify(frame);
    socket.send(text);
    this.#options.onWire('out', text);
    return true;
  }

  #dispatch(event: ConnectionEvent): void {
    const { environment, backoff } = this.#options;
    const before = this.#state;
    const rules = { backoff, stableMs: STABLE_MS, random: environment.random, now: environment.clock.now() };
    const { state, effects } = connectionStep(before, event, rules);
    this.#state = state;
    if (state.phase !== 'waiting') this.#cancelWait();
    for (const effect of effects) {
      if (effect.type === 'open') void this.#open(effect.gateway, effect.freshToken);
      else if (effect.type === 'probe') this.probe();
      else if (effect.type === 'close') this.#drop(1000);
      else {
        this.#cancelWait();
        this.#cancelWait = environment.clock.after(effect.ms, () => this.#dispatch({ type: 'due' }));
      }
    }
    if (state !== before) this.#options.onState(state);
  }

  async #open(gateway: number, freshToken: boolean): Promise<void> {
    const { environment, urls, token, device, connectTimeoutMs, onError } = this.#options;
    const attempt = ++this.#attempt;
    this.#timer(connectTimeoutMs, () => this.#lost(1006, 'no welcome in time'));
    try {
      const [bearer, name] = await Promise.all([token.get(freshToken), device()]);
      if (attempt !== this.#attempt) return;
      const url = `${(urls[gateway % urls.length] ?? '').replace(/^http/, 'ws').replace(/\/$/, '')}/v1/connect?device=${encodeURIComponent(name)}`;
      const socket = new environment.WebSocket(url, [SUBPROTOCOL, `bearer.${bearer}`]);
      this.#socket = socket;
      socket.onmessage = (event: { data: unknown }) => {
        if (attempt === this.#attempt) this.#heard(String(event.data));
      };
      socket.onerror = () => {};
      socket.onclose = (event: { code: number; reason: string }) => {
        if (attempt === this.#attempt) this.#lost(event.code, String(event.reason));
      };
    } catch (error) {
      if (attempt !== this.#attempt) return;
      onError(error);
      this.#lost(1006, 'could not connect');
    }
  }

  #heard(text: string): void {
    this.#lastHeardAt = this.#options.environment.clock.now();
    this.#options.onWire('in', text);
    const frame = parseServerFrame(text);
    if (frame === undefined) return;
    if (frame.t === 'welcome') {
      this.#welcomed = true;
      this.#silenceMs = Math.min(this.#options.silenceMs, frame.heartbeatSeconds * 1000 || this.#options.silenceMs);
      this.#scheduleHeartbeat();
      this.#dispatch({ type: 'welcomed' });
      this.#options.onWelcome(frame);
      return;
    }
    if (frame.t === 'bye') this.#dispatch({ type: 'bye', reconnectAfterMs: frame.reconnectAfterMs });
    this.#options.onFrame(frame);
  }
  #silenceMs = 0;

  /** Pings when nothing was heard for a while: browsers don't show the server's own pings. */
  #scheduleHeartbeat(): void {
    const { clock } = this.#options.environment;
    const quietFor = clock.now() - this.#lastHeardAt;
    this.#timer(Math.max(0, this.#silenceMs - quietFor), () => {
      if (clock.now() - this.#lastHeardAt >= this.#silenceMs) this.probe();
      else this.#scheduleHeartbeat();
    });
  }

  #timer(ms: number, run: () => void): void {
    this.#cancelTimer();
    const attempt = this.#attempt;
    this.#cancelTimer = this.#options.environment.clock.after(ms, () => {
      if (attempt === this.#attempt) run();
    });
  }

  #lost(code: number, reason: string): void {
    this.#drop(code === 1000 ? 1000 : 4900);
    this.#dispatch({ type: 'closed', code, reason });
  }

  /** Lets go of the socket at once: the close of a dead line would take minutes to be noticed. */
  #drop(code: number): void {
    this.#attempt++;
    this.#cancelTimer();
    const socket = this.#socket;
    const welcomed = this.#welcomed;
    this.#socket = undefined;
    this.#welcomed = false;
    if (socket !== undefined) {
      socket.onmessage = null;
      socket.onclose = null;
      try {
        socket.close(code);
      } catch {
        // Closing what never opened: there is nothing left to close.
      }
    }
    if (welcomed) this.#options.onGone();
  }
}
