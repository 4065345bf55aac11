import { WebSocket } from 'ws';
import type { EntryFrame, Frame, MessageFrame, WelcomeFrame } from './frames.ts';
import { isEntry } from './frames.ts';
import { type ConnectionState, DeviceRules } from './protocol-rules.ts';

/** When the client acks: `each` entry as it comes (gathered for a turn of the event loop), or `never` by itself. */
export type AckPolicy = 'each' | 'never';

export type ClientOptions = {
  url: string;
  user: string;
  device: string;
  token: string;
  ack?: AckPolicy;
  /** What the device knows from its former connections; its rules go on where they were. */
  rules?: DeviceRules;
  /** Each frame, before it is acked. */
  onFrame?: (frame: Frame) => void;
  name?: string;
  /** false: `open` resolves with the socket, before the welcome. */
  waitForWelcome?: boolean;
  timeoutMs?: number;
};

export type Received = { atMs: number; frame: Frame };
/** The upgrade was refused: with this status. */
export class RefusedError extends Error {
  override name = 'RefusedError';
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;

  constructor(status: number, headers: Record<string, string | string[] | undefined>, body: string) {
    super(`refused with ${status}: ${body}`);
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

const WAIT_MS = 30_000;
let connections = 0;

/** The address of the upgrade. */
export const connectUrl = (url: string, device: string): string =>
  `${url.replace(/^http/, 'ws')}/v1/connect?device=${encodeURIComponent(device)}`;

/**
 * A client of the protocol for tests: it records every frame with its time, acks by its policy, and holds each connection against
 * what PROTOCOL.md promises. Whatever breaks a promise fails the next `until` and `checked`.
 */
export class TestClient {
  readonly frames: Received[] = [];
  readonly entries: EntryFrame[] = [];
  readonly rules: DeviceRules;
  readonly state: ConnectionState;
  readonly socket: WebSocket;
  readonly name: string;
  closed: { code: number; reason: string } | undefined;
  readonly #options: ClientOptions;
  #waiters: (() => void)[] = [];
  #ackDue = false;
  #error: Error | undefined;

  private constructor(options: ClientOptions, socket: WebSocket) {
    this.#options = options;
    this.socket = socket;
    this.name = options.name ?? `c${++connections}`;
    this.rules = options.rules ?? new DeviceRules(`${options.user}/${options.device}`);
    this.state = this.rules.opened(this.name);
    socket.on('message', (data, binary) => this.#take(data.toString(), binary));
    // What the server sent was no WebSocket frame, or the network broke: said with the close that follows.
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: this.#error?.message ?? reason.toString() };
      this.#wake();
    });
  }

  /** Opens a connection. @throws RefusedError where the upgrade was refused */
  static async open(options: ClientOptions): Promise<TestClient> {
    const socket = new WebSocket(connectUrl(options.url, options.device), ['restante.v1'], {
      headers: { authorization: `Bearer ${options.token}` },
      perMessageDeflate: false,
      handshakeTimeout: options.timeoutMs ?? 15_000,
    });
    const client = new TestClient(options, socket);
    await opened(socket);
    if (options.waitForWelcome !== false) await client.until('the welcome', () => client.state.welcome);
    if (socket.protocol !== 'restante.v1') throw new Error(`the subprotocol is ${JSON.stringify(socket.protocol)}`);
    return client;
  }

  /** Opens, and waits for the end of the backlog. */
  static async drained(options: ClientOptions): Promise<TestClient> {
    const client = await TestClient.open(options);
    await client.until('drained', () => client.first('drained'));
    return client;
  }

  get welcome(): WelcomeFrame {
    const { welcome } = this.state;
    if (!welcome) throw new Error(`${this.name} has no welcome yet`);
    return welcome;
  }

  get messages(): MessageFrame[] {
    return this.entries.filter((entry): entry is MessageFrame => entry.t === 'message');
  }

  all(type: string): Frame[] {
    return this.frames.filter(({ frame }) => frame.t === type).map(({ frame }) => frame);
  }

  first(type: string): Frame | undefined {
    return this.frames.find(({ frame }) => frame.t === type)?.frame;
  }

  send(frame: Record<string, unknown>): void {
    this.socket.send(JSON.stringify(frame));
  }

  /** Acks as a device that has stored everything up to `seq` of the current generation, by default all that came. */
  ack(seq = this.state.expect - 1): void {
    this.rules.acked(this.state.gen, seq);
    this.send({ t: 'ack', seq, gen: this.state.gen });
  }

  /** Waits until `condition` holds. @throws where it doesn't in time, or a promise of the protocol was broken */
  until<T>(what: string, condition: () => T | undefined | false, timeoutMs = WAIT_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${this.name}: ${why}`));
      const timer = setTimeout(() => {
        const last = this.frames.slice(-3).map(({ frame }) => JSON.stringify(frame).slice(0, 200));
        this.#waiters = this.#waiters.filter((waiter) => waiter !== look);
        fail(`waited ${timeoutMs} ms for ${what}; ${this.entries.length} entries, last frames: ${last.join(' ')}`);
      }, timeoutMs);
      const look = () => {
        const { violations } = this.rules;
        const found = violations.length === 0 ? condition() : undefined;
        const wanted = found !== undefined && found !== false;
        if (violations.length === 0 && !wanted && !this.closed) return false;
        clearTimeout(timer);
        this.#waiters = this.#waiters.filter((waiter) => waiter !== look);
        if (violations.length > 0) fail(violations.map(({ kind, detail }) => `${kind}: ${detail}`).join('; '));
        else if (wanted) resolve(found);
        else fail(`closed with ${this.closed?.code} (${this.closed?.reason}) while waiting for ${what}`);
        return true;
      };
      if (!look()) this.#waiters.push(look);
    });
  }

  untilClosed(timeoutMs = WAIT_MS): Promise<{ code: number; reason: string }> {
    return this.until('the close', () => this.closed, timeoutMs);
  }

  /** Ends it as an app does. */
  async close(): Promise<void> {
    this.socket.close(1000);
    await this.untilClosed();
  }

  /** Cuts it as a dead network does: no close frame. */
  async drop(): Promise<void> {
    this.socket.terminate();
    await this.untilClosed();
  }

  #take(text: string, binary: boolean): void {
    let frame: Frame;
    try {
      frame = JSON.parse(text) as Frame;
    } catch {
      frame = { t: 'not JSON', text };
    }
    if (binary) frame = { t: 'binary', text };
    this.frames.push({ atMs: performance.now(), frame });
    this.rules.frame(this.state, frame);
    this.#options.onFrame?.(frame);
    if (isEntry(frame)) {
      this.entries.push(frame as unknown as EntryFrame);
      if (this.#options.ack !== 'never') this.#ackSoon();
    }
    this.#wake();
  }

  #ackSoon(): void {
    if (this.#ackDue) return;
    this.#ackDue = true;
    setImmediate(() => {
      this.#ackDue = false;
      if (this.socket.readyState === WebSocket.OPEN) this.ack();
    });
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.on('error', reject);
    socket.once('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        reject(new RefusedError(response.statusCode ?? 0, response.headers, Buffer.concat(chunks).toString()));
        socket.terminate();
      });
    });
  });
}
