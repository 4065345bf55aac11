import { type ClientOptions, RefusedError, TestClient } from '../support/client.ts';
import type { Stack } from '../support/stack.ts';

const SENDS_PER_SECOND_EACH = 1;
const SETTLE_MS = 30_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * What the honest saw of a time: how many they sent, lost; the codes with which sends were refused, which count as lost, and connections cut; from send to receipt at the 50th and 99th percentile and at most.
 */
export type Seen = {
  sent: number;
  lost: number;
  refused: string[];
  cut: string[];
  p50: number;
  p99: number;
  most: number;
};

/** Users who send to one another, evenly, once a second each, and keep what they got and when. */
export class Honest {
  readonly #clients: TestClient[];
  readonly #sentAt = new Map<string, number>();
  readonly #gotAt: Map<string, number>;
  /** The codes of sends that the gateway did not take. */
  readonly #refused: Map<string, string>;

  private constructor(clients: TestClient[], gotAt: Map<string, number>, refused: Map<string, string>) {
    this.#clients = clients;
    this.#gotAt = gotAt;
    this.#refused = refused;
  }

  static async connect(stack: Stack, users: number): Promise<Honest> {
    const gotAt = new Map<string, number>();
    const refused = new Map<string, string>();
    const open = async (i: number) => {
      const user = `honest-${i}`;
      return letIn({
        url: stack.gatewayUrls[i % stack.gatewayUrls.length]!,
        ...{ user, device: 'phone', token: await stack.token(user) },
        onFrame: (frame) => {
          if (frame.t === 'message') gotAt.set(String(frame.id), performance.now());
          if (frame.t === 'rejected') refused.set(String(frame.id), String(frame.code));
        },
      });
    };
    const clients = await Promise.all(Array.from({ length: users }, (_, i) => open(i)));
    return new Honest(clients, gotAt, refused);
  }

  /** The codes with which connections were closed. */
  get cut(): string[] {
    return this.#clients.flatMap(({ closed }) => (closed ? [`${closed.code} ${closed.reason}`] : []));
  }

  /** They talk until `over`, or that many ms. @returns the ids of what was sent */
  async talk(name: string, over: number | (() => boolean)): Promise<string[]> {
    const ids: string[] = [];
    const began = performance.now();
    const users = this.#clients.length;
    const isOver = typeof over === 'number' ? () => performance.now() - began >= over : over;
    for (let n = 0; !isOver(); n++) {
      const due = began + (n * 1000) / (users * SENDS_PER_SECOND_EACH);
      if (due > performance.now()) await pause(due - performance.now());
      const from = n % users;
      const id = `${name}-${n}-${from}`;
      this.#sentAt.set(id, performance.now());
      this.#clients[from]!.send({
        t: 'send',
        id,
        to: `honest-${(from + 1 + (n % (users - 1))) % users}`,
        body: 'how are you?',
      });
      ids.push(id);
    }
    return ids;
  }

  /** Once all have come, or nothing more is waited for. */
  async seen(ids: string[]): Promise<Seen> {
    const end = performance.now() + SETTLE_MS;
    const open = (id: string) => !this.#gotAt.has(id) && !this.#refused.has(id);
    while (ids.some(open) && performance.now() < end) await pause(50);
    const refused = ids.flatMap((id) => this.#refused.get(id) ?? []);
    const ms = ids.flatMap((id) => (this.#gotAt.has(id) ? [this.#gotAt.get(id)! - this.#sentAt.get(id)!] : []));
    ms.sort((a, b) => a - b);
    const at = (share: number) => ms[Math.min(ms.length - 1, Math.floor(ms.length * share))] ?? Number.NaN;
    const lost = ids.length - ms.length;
    return { sent: ids.length, lost, refused, cut: this.cut, p50: at(0.5), p99: at(0.99), most: at(1) };
  }
}

/** More of them come at once than a gateway lets in within a second: they come again when it says so, as the SDK does. */
async function letIn(options: ClientOptions): Promise<TestClient> {
  for (;;) {
    try {
      return await TestClient.drained(options);
    } catch (error) {
      if (!(error instanceof RefusedError) || error.status !== 503) throw error;
      await pause(Number(error.headers['retry-after']) * 1000);
    }
  }
}
