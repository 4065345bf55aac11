import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { startKafka } from '@restante/localstack/kafka-engine';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { startLogConsumer } from '@restante/shared/kafka/log-consumer';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { ensureTopics } from '@restante/shared/kafka/topics';
import { createLogger } from '@restante/shared/runtime/logger';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

/** The protocol's number of a Fetch request. kafkajs fetches over connections of their own. */
const FETCH = 1;
const SOON = { timeout: 60_000, interval: 50 };
const logger = createLogger('test', process.env.RESTANTE_TEST_LOG ?? 'silent');
const dataDir = mkdtempSync(join(tmpdir(), 'restante-stuck-'));
let broker: Engine;
let proxy: net.Server;
let brokerPort = 0;
/** How many of the next connections that fetch get no answer any more, while all else goes on as ever. */
let silenced = 0;
const sockets = new Set<net.Socket>();

/** Passes everything on, but where it is told to, the answers to fetches are lost without a word. */
function passOn(client: net.Socket): void {
  const server = net.connect(brokerPort, '127.0.0.1');
  let silent: boolean | undefined;
  client.on('data', (data) => {
    if (silent === undefined) {
      silent = data.length >= 6 && data.readInt16BE(4) === FETCH && silenced > 0;
      if (silent) silenced--;
    }
    server.write(data);
  });
  server.on('data', (data) => {
    if (silent !== true) client.write(data);
  });
  for (const [one, other] of [[client, server] as const, [server, client] as const]) {
    sockets.add(one);
    one.on('error', () => {});
    one.on('close', () => {
      sockets.delete(one);
      other.destroy();
    });
  }
}

beforeAll(async () => {
  proxy = net.createServer(passOn);
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as net.AddressInfo;
  broker = await startKafka({ dataDir, advertised: `127.0.0.1:${port}`, port: await freePort() });
});

afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  proxy.close();
  await broker.kill();
  rmSync(dataDir, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  brokerPort = port;
  return port;
}

test('a consumer and a slot reader whose fetches are never answered are noticed and made anew, and skip nothing', async () => {
  const kafka = createKafka({ brokers: [broker.url], clientId: 'test', logger });
  const [log, slots] = ['log', 'slots'];
  await ensureTopics(
    kafka,
    [log, slots].map((topic) => ({ topic, partitions: 1, replicationFactor: 1, config: {} })),
  );
  const producer = new BatchingProducer({ kafka, logger, topics: [log, slots] });
  await producer.start();
  silenced = 2;
  const inLog: number[] = [];
  const inSlot: number[] = [];
  const restarted = vi.fn();
  // Far more often than kafkajs itself gives a request up.
  const often = 500;
  const consumer = await startLogConsumer({
    kafka,
    groupId: 'group',
    topic: log,
    logger,
    watchdogEachMs: often,
    events: { restarted },
    handle: async ({ records }) => {
      inLog.push(...records.map(({ offset }) => offset));
      return { durable: Promise.resolve() };
    },
  });
  const handle: Parameters<typeof startSlotReader>[0]['handle'] = (records) =>
    inSlot.push(...records.map(({ offset }) => offset));
  const onLost = vi.fn();
  const reader = await startSlotReader({
    kafka,
    topic: slots,
    partition: 0,
    handle,
    onLost,
    checkEachMs: often,
    logger,
    events: { restarted },
  });
  try {
    await consumer.whenReady();
    await vi.waitFor(() => expect(silenced).toBe(0), SOON);
    await Promise.all(
      [log, slots].flatMap((topic) => Array.from({ length: 10 }, () => producer.send(topic, 0, null, 'v'))),
    );
    await vi.waitFor(() => expect([inLog.length, inSlot.length]).toEqual([10, 10]), SOON);
    const all = Array.from({ length: 10 }, (_, offset) => offset);
    expect([inLog, inSlot]).toEqual([all, all]);
    const stuck = restarted.mock.calls.filter(([, reason]) => /stuck/.test(reason)).map(([topic]) => topic);
    expect(new Set(stuck)).toEqual(new Set([log, slots]));
    expect(onLost).not.toHaveBeenCalled();
  } finally {
    await Promise.all([consumer.stop(0), reader.stop(), producer.stop(0)]);
  }
}, 120_000);
