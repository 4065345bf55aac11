import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKafka } from '@restante/localstack/kafka-engine';

/** The protocol's number of a Fetch request. kafkajs fetches over connections of their own. */
const FETCH = 1;
const CUT_AFTER_BYTES = 30_000;

export type KafkaProxy = {
  /** Where clients find Kafka: through the proxy, as the broker itself tells them. */
  brokers: string;
  /** How many of the next connections that fetch get no answer any more, while all else goes on as ever. */
  silenced: number;
  /** How many of the next connections that fetch end in the middle of an answer. */
  cut: number;
  /** Ends one of the open connections: at once, or after its answers have been lost for a while. */
  cutOne(loseAnswersMs: number): void;
  close(): Promise<void>;
};

type Pair = { client: net.Socket; server: net.Socket; mute: boolean };

/** A Kafka whose every connection passes through a proxy that does as it is told. */
export async function startKafkaBehindProxy(): Promise<KafkaProxy> {
  const dataDir = mkdtempSync(join(tmpdir(), 'restante-proxied-'));
  const pairs = new Set<Pair>();
  let brokerPort = 0;
  const listener = net.createServer((client) => passOn(client, net.connect(brokerPort, '127.0.0.1'), pairs, proxy));
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as net.AddressInfo;
  brokerPort = await freePort();
  const broker = await startKafka({ dataDir, advertised: `127.0.0.1:${port}`, port: brokerPort });
  const end = ({ client, server }: Pair) => {
    client.destroy();
    server.destroy();
  };
  const proxy: KafkaProxy = {
    brokers: broker.url,
    silenced: 0,
    cut: 0,
    cutOne(loseAnswersMs) {
      const pair = [...pairs][Math.floor(Math.random() * pairs.size)];
      if (pair === undefined) return;
      pair.mute = loseAnswersMs > 0;
      setTimeout(() => end(pair), loseAnswersMs);
    },
    async close() {
      for (const pair of pairs) end(pair);
      listener.close();
      await broker.kill();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  return proxy;
}

function passOn(client: net.Socket, server: net.Socket, pairs: Set<Pair>, proxy: KafkaProxy): void {
  const pair: Pair = { client, server, mute: false };
  pairs.add(pair);
  let asked = false;
  let left = Number.POSITIVE_INFINITY;
  client.on('data', (data) => {
    if (!asked && data.length >= 6 && data.readInt16BE(4) === FETCH) {
      if (proxy.silenced > 0) {
        proxy.silenced--;
        pair.mute = true;
      } else if (proxy.cut > 0) {
        proxy.cut--;
        left = CUT_AFTER_BYTES;
      }
    }
    asked = true;
    server.write(data);
  });
  server.on('data', (data) => {
    if (pair.mute) return;
    if (data.length < left) client.write(data);
    else client.end(data.subarray(0, left));
    left -= data.length;
  });
  const oneOf = [
    [client, server],
    [server, client],
  ] as const;
  for (const [one, other] of oneOf) {
    one.on('error', () => {});
    one.on('close', () => {
      pairs.delete(pair);
      other.destroy();
    });
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
