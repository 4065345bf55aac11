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
/** How many of the next connections that fetch are cut in the middle of an answer: after so many bytes. */
let cut = 0;
const CUT_AFTER_BYTES = 30_000;
const sockets = new Set<net.Socket>();

/** Passes everything on, but where it is told to, the answers to fetches are lost without a word, or end in the middle. */
function passOn(client: net.Socket): void {
  const server = net.connect(brokerPort, '127.0.0.1');
  let fate: 'well' | 'silent' | 'cut' | undefined;
  let left = CUT_AFTER_BYTES;
  client.on('data', (data) => {
    if (fate === undefined) {
      const fetches = data.length >= 6 && data.readInt16BE(4) === FETCH;
      if (fetches && silenced > 0) {
        silenced--;
        fate = 'silent';
      } else if (fetches && cut > 0) {
        cut--;
        fate = 'cut';
      } else fate = 'well';
    }
    server.write(data);
  });
  server.on('data', (data) => {
    if (fate === 'silent') return;
    if (fate !== 'cut' || data.length < left) {
      left -= data.length;
      client.write(data);
    } else client.end(data.subarray(0, left));
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

test('a connection that is cut in the middle of an answer, several times: nothing is skipped, nothing crashes', async () => {
  const kafka = createKafka({ brokers: [broker.url], clientId: 'test', logger });
  const topic = 'cut';
  await ensureTopics(kafka, [{ topic, partitions: 1, replicationFactor: 1, config: {} }]);
  const producer = new BatchingProducer({ kafka, logger, topics: [topic] });
  await producer.start();
  await Promise.all(Array.from({ length: 200 }, () => producer.send(topic, 0, null, 'x'.repeat(2000))));
  await producer.stop();
  cut = 5;
  const handled: number[] = [];
  const restarted = vi.fn();
  const consumer = await startLogConsumer({
    kafka,
    groupId: 'group of cut',
    topic,
    logger,
    events: { restarted },
    handle: async ({ records }) => {
      handled.push(...records.map(({ offset }) => offset));
      return { durable: Promise.resolve() };
    },
  });
  try {
    await vi.waitFor(() => expect(handled.length).toBe(200), SOON);
    expect(cut).toBe(0);
    expect(handled).toEqual(Array.from({ length: 200 }, (_, offset) => offset));
    expect(restarted).not.toHaveBeenCalled();
  } finally {
    await consumer.stop(0);
  }
}, 120_000);
