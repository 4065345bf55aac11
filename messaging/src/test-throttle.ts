import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpProxy } from '@restante/shared/runtime/test-http-proxy';

type Batch = { RequestItems: Record<string, unknown[]> };
/** What becomes of a BatchWriteItem: how many of its items are handed on (the rest is unprocessed), or how it fails. */
export type Verdict = { take: number } | { status: number } | 'pass' | 'drop';

/** Stands in front of the real DynamoDB and throttles, as DynamoDB does in production and DynamoDB Local never. */
export class Throttle extends HttpProxy {
  /** Decides on each BatchWriteItem, by its table and the number of its items. */
  decide: (table: string, items: number) => Verdict | Promise<Verdict> = () => 'pass';

  protected async serve(from: IncomingMessage, body: Buffer, to: ServerResponse): Promise<void> {
    if (from.headers['x-amz-target'] !== 'DynamoDB_20120810.BatchWriteItem')
      return void (await this.pass(from, body, to));
    const batch = JSON.parse(body.toString()) as Batch;
    const [table, items] = Object.entries(batch.RequestItems)[0]!;
    const verdict = await this.decide(table, items.length);
    if (verdict === 'pass') return void (await this.pass(from, body, to));
    if (verdict === 'drop') return void from.socket.destroy();
    if ('status' in verdict) {
      const type = verdict.status === 400 ? 'ProvisionedThroughputExceededException' : 'InternalServerError';
      to.writeHead(verdict.status, { 'content-type': 'application/x-amz-json-1.0' });
      return void to.end(JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: 'injected' }));
    }
    const left = { [table]: items.slice(verdict.take) };
    if (verdict.take > 0) {
      const part = Buffer.from(JSON.stringify({ ...batch, RequestItems: { [table]: items.slice(0, verdict.take) } }));
      await this.send(from, part);
    }
    to.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' });
    to.end(JSON.stringify({ UnprocessedItems: left }));
  }
}
