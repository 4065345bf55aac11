import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import { type Stack, startStack } from './support/stack.ts';

type Span = {
  service: string;
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  attributes: Record<string, unknown>;
};
type Exported = {
  resourceSpans: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] };
    scopeSpans: {
      spans: (Omit<Span, 'service' | 'attributes'> & {
        attributes: { key: string; value: Record<string, unknown> }[];
      })[];
    }[];
  }[];
};

const spans: Span[] = [];
let collector: Server;
let stack: Stack;

/** A real receiver of OTLP over HTTP. */
beforeAll(async () => {
  collector = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.url === '/v1/traces') take(JSON.parse(Buffer.concat(chunks).toString()) as Exported);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as AddressInfo;
  stack = await startStack({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` } });
});
afterAll(async () => {
  await stack?.stop();
  collector?.closeAllConnections();
  collector?.close();
});

function take({ resourceSpans }: Exported): void {
  for (const { resource, scopeSpans } of resourceSpans) {
    const service = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '';
    for (const { attributes, ...span } of scopeSpans.flatMap((scope) => scope.spans)) {
      const values = attributes.map(({ key, value }): [string, unknown] => [key, Object.values(value)[0]]);
      spans.push({ service, ...span, attributes: Object.fromEntries(values) });
    }
  }
}

const open = async (user: string, gateway: number) =>
  TestClient.drained({ url: stack.gatewayUrls[gateway]!, user, device: 'phone', token: await stack.token(user) });
const traceOf = (id: string): Span[] => {
  const first = spans.find(({ attributes }) => attributes['messaging.message.id'] === id);
  return spans.filter(({ traceId }) => traceId === first?.traceId);
};
const placeOf = ({ attributes }: Span) => `${attributes['restante.conversation']} ${attributes['restante.position']}`;

test('a message is one trace through every process: send, store, deliver, ack', async () => {
  const ann = await open('ann', 0);
  const ben = await open('ben', 1);
  const ids = ['trace-me-1', 'trace-me-2', 'trace-me-3'];
  for (const id of ids) ann.send({ t: 'send', id, to: 'ben', body: 'secret-in-no-trace' });
  await ben.until('the messages', () => ben.messages.length === ids.length);

  await vi.waitFor(
    () => {
      for (const id of ids)
        expect(
          traceOf(id)
            .map(({ name }) => name)
            .sort(),
        ).toEqual(['ack', 'deliver', 'send', 'store']);
    },
    { timeout: 30_000, interval: 100 },
  );
  for (const id of ids) {
    const by = new Map(traceOf(id).map((span) => [span.name, span]));
    const chain = ['send', 'store', 'deliver', 'ack'].map((name) => by.get(name)!);
    expect(chain.map(({ service }) => service)).toEqual(['gateway-1', 'messaging-1', 'gateway-2', 'notification-1']);
    expect(chain[0]!.parentSpanId ?? '').toBe('');
    for (const [i, span] of chain.slice(1).entries()) expect(span.parentSpanId).toBe(chain[i]!.spanId);
  }
  expect(new Set(ids.map((id) => traceOf(id)[0]!.traceId)).size).toBe(ids.length);
  expect(JSON.stringify(spans)).not.toContain('secret-in-no-trace');
  await Promise.all([ann.close(), ben.close()]);
});

test('a message that waited is a second trace, replay, deliver, ack, found by conversation and position', async () => {
  // Its device is known from then on.
  await (await open('dan', 1)).close();
  const cat = await open('cat', 0);
  const ids = ['replay-me-1', 'replay-me-2', 'replay-me-3'];
  for (const id of ids) cat.send({ t: 'send', id, to: 'dan', body: 'secret-in-no-trace' });
  const stored = (id: string) => traceOf(id).find(({ name }) => name === 'store');
  await vi.waitFor(() => expect(ids.every((id) => stored(id))).toBe(true), { timeout: 30_000, interval: 100 });
  const dan = await open('dan', 1);
  await dan.until('the messages', () => dan.messages.length === ids.length);

  // One that is given twice, as may be, has a trace for each time.
  const chainsOf = (id: string) =>
    spans
      .filter((span) => span.name === 'replay' && placeOf(span) === placeOf(stored(id)!))
      .map((replay) => {
        const trace = spans.filter(({ traceId }) => traceId === replay.traceId);
        const after = (parent: Span | undefined) => trace.find(({ parentSpanId }) => parentSpanId === parent?.spanId);
        const deliver = after(replay);
        return [replay, deliver, deliver && after(deliver)].map((span) => span && [span.name, span.service]);
      });
  await vi.waitFor(
    () => {
      for (const id of ids)
        expect(chainsOf(id)).toContainEqual([
          ['replay', 'notification-1'],
          ['deliver', 'gateway-2'],
          ['ack', 'notification-1'],
        ]);
    },
    { timeout: 30_000, interval: 100 },
  );
  expect(dan.messages.map(({ position }) => `dm:cat:dan ${position}`)).toEqual(ids.map((id) => placeOf(stored(id)!)));
  expect(JSON.stringify(spans)).not.toContain('secret-in-no-trace');
  await Promise.all([cat.close(), dan.close()]);
});
