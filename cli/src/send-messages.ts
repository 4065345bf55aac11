import { callHttp, ProblemError } from './call-http.ts';
import { FailedError } from './command.ts';
import type { Frame } from './frames.ts';
import { newMessageId } from './message-id.ts';
import { type Closed, openSocket, RefusedError, type Socket } from './socket.ts';
import type { Gateway } from './target.ts';

export type Address = { to: string } | { conversation: string };
export type SendFields = Address & { body: string; kind?: string; ttlSeconds?: number; urgent?: boolean };

/** What became of one message; `ms` since it was first sent. */
export type SendEvent =
  | { id: string; status: 'accepted'; at: number; ms: number }
  | { id: string; status: 'stored'; at: number; ms: number; conversation: string; position: number }
  | { id: string; status: 'rejected'; code: string; message: string; ms: number };

export type SendOptions = {
  gateway: Gateway;
  token: () => Promise<string>;
  device: string;
  /** Messages sent and not yet accepted. With one, a retry after `rate_limited` can't change the order. */
  inFlight: number;
  /** Gives up after this long without any answer while one is awaited. */
  timeoutMs: number;
  onEvent: (event: SendEvent) => void;
};

const RECONNECT_MS = 500;
const DEFAULT_RETRY_MS = 200;

type Pending = { id: string; nth: number; fields: SendFields; firstSentAt: number; accepted: boolean };

/**
 * Sends over a socket, in order; resends the same ids after a lost connection or `rate_limited`, so that each message
 * is there once. `finish` resolves when each is stored or rejected.
 */
export class SocketSender {
  readonly #options: SendOptions;
  readonly #pending = new Map<string, Pending>();
  /** Told to come later, in the order of sending. Until they are accepted nothing new is sent. */
  #refused: Pending[] = [];
  #paused = false;
  #sent = 0;
  /** Halved where the gateway refuses, one more for each accepted: a crowd of retries would only refuse itself again. */
  #window: number;
  #socket: Socket | undefined;
  #wake: () => void = () => {};
  #lastAnswer = Date.now();
  #failure: FailedError | undefined;

  constructor(options: SendOptions) {
    this.#options = options;
    this.#window = options.inFlight;
  }

  /** Resolves when the message is on its way and the next may follow. @throws FailedError */
  async send(fields: SendFields): Promise<void> {
    await this.#until(() => this.#refused.length === 0 && this.#mayWrite());
    if (this.#socket === undefined) await this.#connect();
    const message: Pending = {
      nth: this.#sent++,
      id: newMessageId(),
      fields,
      firstSentAt: performance.now(),
      accepted: false,
    };
    if (this.#pending.size === 0) this.#lastAnswer = Date.now();
    this.#pending.set(message.id, message);
    this.#write(message);
  }

  /** @throws FailedError where an answer is missing. */
  async finish(): Promise<void> {
    await this.#until(() => this.#pending.size === 0);
    this.#socket?.close();
  }

  #mayWrite(): boolean {
    let unaccepted = 0;
    for (const message of this.#pending.values()) if (!message.accepted) unaccepted++;
    return !this.#paused && unaccepted - this.#refused.length < this.#window;
  }

  #write(message: Pending): void {
    this.#socket?.send({ t: 'send', id: message.id, ...message.fields });
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.#failure !== undefined) throw this.#failure;
      const left = this.#lastAnswer + this.#options.timeoutMs - Date.now();
      if (left <= 0)
        throw new FailedError(
          `${this.#pending.size} messages without an answer for ${this.#options.timeoutMs} ms`,
          'sending the same ids again is safe; `npx restante status` says what runs',
        );
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }

  async #connect(): Promise<void> {
    const { gateway, device } = this.#options;
    this.#socket = await openSocket(gateway, await this.#options.token(), device, {
      onFrame: (frame) => this.#take(frame),
      onClose: (closed) => this.#lost(closed),
    });
  }

  #take(frame: Frame): void {
    if (frame.t === 'error') this.#failure = new FailedError(`the gateway says ${frame.code}: ${frame.message}`);
    if (frame.t === 'accepted' || frame.t === 'stored' || frame.t === 'rejected') {
      const message = this.#pending.get(frame.id);
      if (message !== undefined) this.#answered(frame, message);
      this.#sendRefused();
    }
    this.#wake();
  }

  #answered(frame: Extract<Frame, { t: 'accepted' | 'stored' | 'rejected' }>, message: Pending): void {
    this.#lastAnswer = Date.now();
    const ms = performance.now() - message.firstSentAt;
    const { id } = message;
    if (frame.t === 'accepted') {
      if (!message.accepted) this.#options.onEvent({ id, status: 'accepted', at: frame.at, ms });
      message.accepted = true;
      this.#window = Math.min(this.#options.inFlight, this.#window + 1);
    } else if (frame.t === 'stored') {
      this.#pending.delete(id);
      if (!message.accepted) this.#options.onEvent({ id, status: 'accepted', at: frame.at, ms });
      this.#options.onEvent({
        id,
        status: 'stored',
        at: frame.at,
        ms,
        conversation: frame.conversation,
        position: frame.position,
      });
    } else if (frame.retryable) {
      this.#later(message, frame.retryAfterMs ?? DEFAULT_RETRY_MS);
    } else {
      this.#pending.delete(id);
      this.#options.onEvent({ id, status: 'rejected', code: frame.code, message: frame.message, ms });
    }
  }

  #later(message: Pending, afterMs: number): void {
    const place = this.#refused.findIndex((other) => other.nth > message.nth);
    this.#refused.splice(place < 0 ? this.#refused.length : place, 0, message);
    if (this.#paused) return;
    this.#paused = true;
    this.#window = Math.max(1, this.#window >> 1);
    setTimeout(() => {
      this.#paused = false;
      this.#sendRefused();
      this.#wake();
    }, afterMs);
  }

  #sendRefused(): void {
    while (this.#refused.length > 0 && this.#mayWrite()) this.#write(this.#refused.shift() as Pending);
  }

  /** Everything without a final answer is sent again on the next connection: same ids, same order. */
  #lost({ code, reason, reconnect }: Closed): void {
    this.#socket = undefined;
    if (this.#pending.size === 0) return;
    const said = `the connection closed with ${code}${reason === '' ? '' : ` (${reason})`}`;
    if (reconnect === 'never')
      this.#failure = new FailedError(
        said,
        code === 4003 ? 'another connection of this device took over: name another with --device' : undefined,
      );
    else setTimeout(() => void this.#reconnect(said), RECONNECT_MS);
    this.#wake();
  }

  async #reconnect(said: string): Promise<void> {
    try {
      await this.#connect();
      this.#refused = [];
      for (const message of this.#pending.values()) this.#write(message);
    } catch (error) {
      if (error instanceof RefusedError && error.transient) setTimeout(() => void this.#reconnect(said), RECONNECT_MS);
      else this.#failure = new FailedError(`${said}; ${(error as Error).message}`);
    }
    this.#wake();
  }
}

/** The same over POST /v1/messages: `accepted` is all that it can say. */
export class HttpSender {
  readonly #options: SendOptions;
  readonly #running = new Set<Promise<void>>();
  #failure: Error | undefined;

  constructor(options: SendOptions) {
    this.#options = options;
  }

  async send(fields: SendFields): Promise<void> {
    while (this.#running.size >= this.#options.inFlight) await Promise.race(this.#running);
    if (this.#failure !== undefined) throw this.#failure;
    const call = this.#post(newMessageId(), fields).catch((error: Error) => {
      this.#failure ??= error;
    });
    this.#running.add(call);
    void call.finally(() => this.#running.delete(call));
  }

  async finish(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #post(id: string, fields: SendFields): Promise<void> {
    const { gateway, token, onEvent, timeoutMs } = this.#options;
    const startedAt = performance.now();
    for (;;) {
      try {
        const answer = (await callHttp(gateway, await token(), 'POST', '/v1/messages', { id, ...fields })) as {
          at: number;
        };
        onEvent({ id, status: 'accepted', at: answer.at, ms: performance.now() - startedAt });
        return;
      } catch (error) {
        // Not reached, or the outcome is unknown: the same id may be sent again, and is then found.
        const problem = error instanceof ProblemError ? error : undefined;
        const retryable = problem === undefined || problem.status === 429 || problem.status >= 500;
        const afterMs = problem?.retryAfterMs ?? 200;
        if (!retryable || performance.now() + afterMs - startedAt > timeoutMs) {
          if (problem === undefined) throw error;
          onEvent({
            id,
            status: 'rejected',
            code: problem.code,
            message: problem.message,
            ms: performance.now() - startedAt,
          });
          return;
        }
        await new Promise((done) => setTimeout(done, afterMs));
      }
    }
  }
}
