import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BatchExecuteStatementCommand, type DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createDynamo, type Item, writeBatch } from './dynamo.ts';
import { HttpProxy } from './test-http-proxy.ts';

type Headers = IncomingMessage['headers'];
type Failure = (to: ServerResponse) => void;

/** Stands in front of the real DynamoDB, notes what is asked, and fails as many requests as it has failures for. */
class Witness extends HttpProxy {
  asked: Headers[] = [];
  failures: Failure[] = [];
  /** What its answers say that it is. */
  now = () => Date.now();

  protected async serve(from: IncomingMessage, body: Buffer, to: ServerResponse): Promise<void> {
    this.asked.push(from.headers);
    const fail = this.failures.shift();
    if (fail) return fail(to);
    const answer = await this.send(from, body);
    to.writeHead(answer.status, { ...answer.headers, date: new Date(this.now()).toUTCString() }).end(answer.body);
  }
}

const error =
  (status: number, type: string, headers: Headers = {}): Failure =>
  (to) =>
    to
      .writeHead(status, { 'content-type': 'application/x-amz-json-1.0', ...headers })
      .end(JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: 'injected' }));
const THROTTLED = error(400, 'ProvisionedThroughputExceededException');

/** The SDK counts its tries in a header; the short way has none to count. */
const waysOf = (asked: Headers[]) => asked.map((headers) => (headers['amz-sdk-request'] ? 'sdk' : 'direct'));

const TEXT = 'plain "quoted" \\ \u0000 \u001f \u2028 \u00e9 \u4e16 \ud83d\ude00 </script>';

let witness: Witness;
let endpoint: string;
let client: DynamoDBClient;
beforeAll(async () => {
  witness = new Witness(process.env.DYNAMODB_ENDPOINT!);
  endpoint = await witness.start();
  client = createDynamo({ endpoint, region: 'us-east-1' });
});
afterAll(async () => {
  client.destroy();
  await witness.stop();
});
beforeEach(async () => {
  // The first of a client shows the way.
  await write();
  witness.asked = [];
});

const keyOf = (item: Item) => ({ user: item.user!, conversation: item.conversation! });
async function write(more: Item = {}): Promise<Item> {
  const item = { user: { S: `u-${randomUUID()}` }, conversation: { S: 'dm:a:b' }, ...more };
  expect(await writeBatch(client, 'memberships', [item])).toEqual([]);
  return item;
}
async function read(item: Item): Promise<Item | undefined> {
  const { Item } = await client.send(
    new GetItemCommand({ TableName: 'memberships', Key: keyOf(item), ConsistentRead: true }),
  );
  return Item;
}

it('what is asked often goes the short way, once the SDK has shown it, signed as the SDK signs', async () => {
  const own = createDynamo({ endpoint, region: 'us-east-1' });
  try {
    for (let i = 0; i < 3; i++)
      await writeBatch(own, 'memberships', [{ user: { S: `u-${i}` }, conversation: { S: 'dm:a:b' } }]);
  } finally {
    own.destroy();
  }
  expect(waysOf(witness.asked)).toEqual(['sdk', 'direct', 'direct']);
  const [sdk, direct] = witness.asked;
  for (const name of ['host', 'content-type', 'x-amz-target', 'user-agent', 'content-length'])
    expect(direct![name]).toBe(sdk![name]);
  const signature =
    /^AWS4-HMAC-SHA256 Credential=local\/\d{8}\/us-east-1\/dynamodb\/aws4_request, SignedHeaders=(\S+), Signature=[0-9a-f]{64}$/;
  expect(signature.exec(direct!.authorization!)![1]!.split(';')).toEqual(
    expect.arrayContaining([
      'content-length',
      'content-type',
      'host',
      'x-amz-content-sha256',
      'x-amz-date',
      'x-amz-target',
    ]),
  );
});

it('any text is written as it is', async () => {
  const item = await write({
    text: { S: TEXT },
    number: { N: '1099511627776' },
    list: { L: [{ S: TEXT }, { NULL: true }] },
  });
  expect(waysOf(witness.asked)).toEqual(['direct']);
  expect(await read(item)).toEqual(item);
});

it.each<[string, Failure]>([
  ['throttled', THROTTLED],
  ['failed', error(500, 'InternalServerError')],
  ['cut off', (to) => void to.socket!.destroy()],
  [
    'cut off in the middle of its answer',
    (to) => void to.writeHead(200, { 'content-length': '100' }).write('{"Unproc', () => to.socket!.destroy()),
  ],
])('what is %s is asked again as the SDK does', async (_, failure) => {
  witness.failures = [failure, failure];
  const item = await write();
  expect(waysOf(witness.asked)).toEqual(['direct', 'sdk', 'sdk']);
  expect(await read(item)).toEqual(item);
});

it('what is answered with something else than JSON is asked again', async () => {
  witness.failures = [(to) => void to.writeHead(200).end('<html>')];
  const item = await write();
  expect(waysOf(witness.asked)).toEqual(['direct', 'sdk']);
  expect(await read(item)).toEqual(item);
});

it('what DynamoDB calls an error has its name', async () => {
  await expect(write({ user: { S: '' } })).rejects.toMatchObject({ name: 'ValidationException' });
});

it('statements are answered one by one', async () => {
  const item = await write();
  const statement = (user: string) => ({
    Statement: `UPDATE "memberships" SET "n" = ? WHERE "user" = ? AND "conversation" = ?`,
    Parameters: [{ N: '1' }, { S: user }, item.conversation!],
  });
  for (let i = 0; i < 2; i++) {
    const { Responses } = await client.send(
      new BatchExecuteStatementCommand({ Statements: [statement(item.user!.S!), statement(`u-${randomUUID()}`)] }),
    );
    expect(Responses!.map((response) => response.Error?.Code)).toEqual([undefined, 'ConditionalCheckFailed']);
  }
  expect(waysOf(witness.asked).at(-1)).toBe('direct');
});

it('a clock that is wrong is corrected for the short way too', async () => {
  const now = () => Date.now() + 20 * 60_000;
  witness.now = now;
  witness.failures = [error(400, 'RequestTimeTooSkewed', { date: new Date(now()).toUTCString() })].flatMap((one) => [
    one,
    one,
  ]);
  await write();
  witness.asked = [];
  await write();
  expect(waysOf(witness.asked)).toEqual(['direct']);
  // 20261121T214245Z
  const signedAt = String(witness.asked[0]!['x-amz-date']).replace(/^(....)(..)(...)(..)(..)/, '$1-$2-$3$4:$5:');
  expect(Math.abs(Date.parse(signedAt) - now())).toBeLessThan(10 * 60_000);
});
