import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Batch = { RequestItems: Record<string, unknown[]> };
/** What becomes of a BatchWriteItem: how many of its items are handed on (the rest is unprocessed), or how it fails. */
export type Verdict = { take: number } | { status: number } | 'pass' | 'drop';

/** Stands in front of the real DynamoDB and throttles, as DynamoDB does in production and DynamoDB Local never. */
export class Throttle {
  /** Decides on each BatchWriteItem, by its table and the number of its items. */
  decide: (table: string, items: number) => Verdict | Promise<Verdict> = () => 'pass';
  readonly #target: URL;
  readonly #server = createServer((from, to) => void this.#serve(from, to));

  constructor(target: string) {
    this.#target = new URL(target);
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(from: IncomingMessage, to: ServerResponse): Promise<void> {
    const body = await read(from);
    if (from.headers['x-amz-target'] !== 'DynamoDB_20120810.BatchWriteItem') return this.#pass(from, body, to);
    const batch = JSON.parse(body.toString()) as Batch;
    const [table, items] = Object.entries(batch.RequestItems)[0]!;
    const verdict = await this.decide(table, items.length);
    if (verdict === 'pass') return this.#pass(from, body, to);
    if (verdict === 'drop') return void from.socket.destroy();
    if ('status' in verdict) {
      const type = verdict.status === 400 ? 'ProvisionedThroughputExceededException' : 'InternalServerError';
      to.writeHead(verdict.status, { 'content-type': 'application/x-amz-json-1.0' });
      return void to.end(JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: 'injected' }));
    }
    const left = { [table]: items.slice(verdict.take) };
    if (verdict.take > 0) {
      const part = Buffer.from(JSON.stringify({ ...batch, RequestItems: { [table]: items.slice(0, verdict.take) } }));
      await this.#send(from, part);
    }
    to.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' });
    to.end(JSON.stringify({ UnprocessedItems: left }));
  }

  async #pass(from: IncomingMessage, body: Buffer, to: ServerResponse): Promise<void> {
    const answer = await this.#send(from, body);
    to.writeHead(answer.status, answer.headers);
    to.end(answer.body);
  }

  #send(from: IncomingMessage, body: Buffer) {
    type Answer = { status: number; headers: IncomingMessage['headers']; body: Buffer };
    return new Promise<Answer>((resolve, reject) => {
      const headers = { ...from.headers, host: this.#target.host, 'content-length': String(body.length) };
      const out = request(this.#target, { method: from.method, path: from.url, headers }, (answer) => {
        read(answer).then(
          (got) => resolve({ status: answer.statusCode ?? 500, headers: answer.headers, body: got }),
          reject,
        );
      });
      out.on('error', reject);
      out.end(body);
    });
  }
}

async function read(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
