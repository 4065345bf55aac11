import { Centrifuge, type StreamPosition } from 'centrifuge';
import WebSocket from 'ws';
import type { CreateDriver } from '../driver.ts';
import { commandVersion, debianVersion, npmVersion, program } from '../versions.ts';

const PORT = 23_000;
const REDIS_PORT = 23_379;

class PlainWebSocket extends WebSocket {
  constructor(url: string, protocols?: string | string[]) {
    super(url, protocols, { perMessageDeflate: false });
  }
}

/** Centrifugo, Redis engine: a channel with history per user; the client keeps its position and recovers from it. */
export const createCentrifugo: CreateDriver = (host) => {
  const users = new Map<string, Centrifuge>();
  const positions = new Map<string, StreamPosition>();
  let sender: Centrifuge;
  const open = () =>
    new Promise<Centrifuge>((resolve, reject) => {
      const client = new Centrifuge(`ws://127.0.0.1:${PORT}/connection/websocket`, {
        websocket: PlainWebSocket,
        timeout: 20_000,
        minReconnectDelay: 60_000,
        maxServerPingDelay: 120_000,
      });
      client.once('connected', () => resolve(client));
      client.once('error', (context) => reject(new Error(context.error.message)));
      client.connect();
    });
  return {
    name: 'centrifugo',
    durability: 'Redis stream, AOF fsync every second; no per-message ack: the client holds its position',
    versions: () => ({
      centrifugo: process.env.CENTRIFUGO_VERSION ?? commandVersion(program('centrifugo'), ['version'], /v(\d\S+)/),
      redis: debianVersion('redis-server'),
      centrifuge: npmVersion('centrifuge'),
    }),
    async start() {
      const centrifugo = program('centrifugo');
      const redis = [
        '--port',
        String(REDIS_PORT),
        '--bind',
        '127.0.0.1',
        '--dir',
        host.mkdir('redis'),
        '--appendonly',
        'yes',
        '--appendfsync',
        'everysec',
        '--save',
        '',
        '--protected-mode',
        'yes',
      ];
      await host.spawn('redis', program('redis-server'), redis, { port: REDIS_PORT });
      await host.spawn('centrifugo', centrifugo, ['-c', host.file('centrifugo.json', JSON.stringify(CONFIG))], {
        port: PORT,
      });
      sender = await open();
    },
    async stop() {
      for (const client of users.values()) client.disconnect();
      sender?.disconnect();
    },
    async connectUser(id, onMessage) {
      const client = await open();
      const since = positions.get(id);
      const subscription = client.newSubscription(`in:${id}`, since === undefined ? {} : { since });
      const ready = new Promise<void>((resolve, reject) => {
        subscription.once('subscribed', ({ streamPosition }) => {
          if (!positions.has(id) && streamPosition !== undefined) positions.set(id, { ...streamPosition });
          resolve();
        });
        subscription.once('error', (context) => reject(new Error(context.error.message)));
      });
      subscription.on('publication', (publication) => {
        onMessage(publication.data);
        const position = positions.get(id);
        if (position !== undefined && publication.offset !== undefined) position.offset = publication.offset;
      });
      subscription.subscribe();
      users.set(id, client);
      await ready;
    },
    async disconnectUser(id) {
      users.get(id)?.disconnect();
      users.delete(id);
    },
    async sendTo(id, text) {
      await sender.publish(`in:${id}`, JSON.parse(text));
    },
  };
};

const CONFIG = {
  http_server: { address: '127.0.0.1', port: String(PORT) },
  log: { level: 'error' },
  usage_stats: { disabled: true },
  engine: { type: 'redis', redis: { address: [`redis://127.0.0.1:${REDIS_PORT}`] } },
  client: {
    insecure: true,
    allowed_origins: ['*'],
    queue_max_size: 64 * 2 ** 20,
    recovery_max_publication_limit: 60_000,
    history_max_publication_limit: 60_000,
    ping_interval: '60s',
  },
  channel: {
    namespaces: [
      {
        name: 'in',
        history_size: 60_000,
        history_ttl: '3600s',
        force_recovery: true,
        force_positioning: true,
        allow_subscribe_for_client: true,
        allow_subscribe_for_anonymous: true,
        allow_publish_for_client: true,
        allow_publish_for_anonymous: true,
      },
    ],
  },
};
