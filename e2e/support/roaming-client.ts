import { TestClient } from './client.ts';
import type { Frame } from './frames.ts';
import { DeviceRules } from './protocol-rules.ts';

const RETRY_MS = 200;

/**
 * A device that stays connected as an app does: it goes to the next gateway when its socket closes, after `reconnectAfterMs` where it was told,
 * and sends again, in order, what nobody has answered, and after `retryAfterMs` what was refused for now. Its rules hold all its connections
 * against PROTOCOL.md.
 */
export class RoamingClient {
  readonly user: string;
  readonly rules: DeviceRules;
  /** Of the inbox, as it was told by a welcome or a reset. */
  readonly generations = new Set<number>();
  /** Codes by which its connections were closed. */
  readonly closes: number[] = [];
  /** `bye` frames that it was sent, with the code of the close that followed. */
  readonly byes: { code: number; reconnectAfterMs: number; closed: number }[] = [];
  /** Ids of messages, in the order of their first coming. */
  readonly received: Set<string>;
  /** Ids that were refused for now, as `overloaded` where the log took long: sent again, they come behind what was sent meanwhile. */
  readonly refused = new Set<string>();
  readonly #urls: readonly string[];
  readonly #token: string;
  /** Sent and not accepted yet, oldest first. */
  readonly #outbox = new Map<string, string>();
  #turn: number;
  #client: TestClient | undefined;
  #ended = false;
  #running: Promise<void> | undefined;
  #up: () => void = () => {};

  constructor(user: string, token: string, urls: readonly string[], turn: number, former?: RoamingClient) {
    this.user = user;
    this.rules = former?.rules ?? new DeviceRules(`${user}/phone`);
    this.received = former?.received ?? new Set();
    for (const gen of former?.generations ?? []) this.generations.add(gen);
    this.#urls = urls;
    this.#token = token;
    this.#turn = turn;
  }

  /** The same device, after it was away. */
  again(): RoamingClient {
    return new RoamingClient(this.user, this.#token, this.#urls, this.#turn, this);
  }

  /** @returns once it is connected for the first time */
  start(): Promise<void> {
    const up = new Promise<void>((resolve) => {
      this.#up = resolve;
    });
    this.#running = this.#run();
    return up;
  }

  send(id: string, to: string): void {
    this.#outbox.set(id, to);
    this.#write(id, to);
  }

  get unanswered(): number {
    return this.#outbox.size;
  }

  async end(): Promise<void> {
    this.#ended = true;
    this.#client?.socket.close(1000);
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      const url = this.#urls[this.#turn++ % this.#urls.length]!;
      const device = { url, user: this.user, device: 'phone', token: this.#token };
      const client = await TestClient.open({
        ...device,
        rules: this.rules,
        waitForWelcome: false,
        onFrame: (frame) => {
          if (frame.t === 'message') this.received.add(String(frame.id));
          if (frame.t === 'welcome' || frame.t === 'reset') this.generations.add(Number(frame.gen));
          if (frame.t === 'accepted') this.#outbox.delete(String(frame.id));
          if (frame.t === 'rejected') this.#sendAgain(frame);
        },
      }).catch(() => undefined);
      if (!client) {
        await pause(RETRY_MS);
        continue;
      }
      this.#client = client;
      this.#up();
      for (const [id, to] of this.#outbox) this.#write(id, to);
      await new Promise((resolve) => client.socket.once('close', resolve));
      this.closes.push(client.closed!.code);
      const bye = client.first('bye');
      const reconnectAfterMs = Number(bye?.reconnectAfterMs ?? 0);
      if (bye) this.byes.push({ code: Number(bye.code), reconnectAfterMs, closed: client.closed!.code });
      await pause(reconnectAfterMs);
    }
  }

  #sendAgain({ id, retryable, code, retryAfterMs }: Frame): void {
    if (retryable !== true) throw new Error(`${this.user}: ${String(id)} was refused for good: ${String(code)}`);
    this.refused.add(String(id));
    setTimeout(() => {
      const to = this.#outbox.get(String(id));
      if (to !== undefined) this.#write(String(id), to);
    }, Number(retryAfterMs));
  }

  #write(id: string, to: string): void {
    const client = this.#client;
    if (client?.socket.readyState === client?.socket.OPEN) client?.send({ t: 'send', id, to, body: `body of ${id}` });
  }
}

/** For comparing what the recipient has with what it was sent: all of it, and the order of what was never refused in between. */
export function asSent(sender: RoamingClient, ids: Iterable<string>): { all: string[]; ordered: string[] } {
  const list = [...ids];
  return { all: list.toSorted(), ordered: list.filter((id) => !sender.refused.has(id)) };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
