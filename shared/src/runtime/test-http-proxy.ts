import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export type Answer = { status: number; headers: IncomingMessage['headers']; body: Buffer };

/** Stands in front of a real engine of AWS's kind, for a test to answer some requests as AWS would and hand on the rest. */
export abstract class HttpProxy {
  readonly #target: URL;
  readonly #server = createServer(async (from, to) => this.serve(from, await buffer(from), to));

  constructor(target: string) {
    this.#target = new URL(target);
  }

  /** @returns its address, to be used instead of the engine's */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  protected abstract serve(from: IncomingMessage, body: Buffer, to: ServerResponse): Promise<void>;

  protected async pass(from: IncomingMessage, body: Buffer, to: ServerResponse): Promise<Answer> {
    const answer = await this.send(from, body);
    to.writeHead(answer.status, answer.headers).end(answer.body);
    return answer;
  }

  /** Asks the engine, with `from`'s headers. */
  protected send(from: IncomingMessage, body: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = { ...from.headers, host: this.#target.host, 'content-length': String(body.length) };
      const out = request(this.#target, { method: from.method, path: from.url, headers }, (answer) => {
        buffer(answer).then(
          (got) => resolve({ status: answer.statusCode ?? 500, headers: answer.headers, body: got }),
          reject,
        );
      });
      out.on('error', reject);
      out.end(body);
    });
  }
}
