import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { CreateDriver } from '../driver.ts';
import { commandVersion, npmVersion, program } from '../versions.ts';

const PORT = 24_222;
const PATIENT = { timeout: 20_000 };

/** NATS JetStream: one work-queue stream on file, a durable pull consumer per user, explicit ack. */
export const createNats: CreateDriver = (host) => {
  const users = new Map<string, { connection: NatsConnection; stop: () => void }>();
  const made = new Set<string>();
  const utf8 = new TextEncoder();
  let sender: NatsConnection;
  let stream: JetStreamClient;
  let manager: JetStreamManager;
  const open = (name: string) =>
    connect({ servers: `127.0.0.1:${PORT}`, name, timeout: 20_000, pingInterval: 120_000, reconnect: false });
  async function makeConsumer(id: string): Promise<void> {
    if (made.has(id)) return;
    await manager.consumers.add('INBOX', {
      durable_name: id,
      filter_subject: `in.${id}`,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      max_ack_pending: 1_000,
      ack_wait: 30e9,
    });
    made.add(id);
  }
  return {
    name: 'nats',
    durability: 'file store, written before the ack, fsync every 2 min (server default)',
    versions: () => ({
      'nats-server': commandVersion(program('nats-server'), ['--version']),
      '@nats-io/jetstream': npmVersion('@nats-io/jetstream'),
    }),
    async start() {
      const conf = `listen: "127.0.0.1:${PORT}"\nmax_connections: 30000\njetstream { store_dir: "${host.mkdir('data')}", max_file_store: 4GB }\n`;
      await host.spawn('nats-server', program('nats-server'), ['-c', host.file('nats.conf', conf)], { port: PORT });
      sender = await open('sender');
      manager = await jetstreamManager(sender, PATIENT);
      stream = jetstream(sender, PATIENT);
      // Without max_consumers, server 2.15 stops at 1,000 consumers a stream.
      await manager.streams.add({
        name: 'INBOX',
        subjects: ['in.*'],
        storage: StorageType.File,
        retention: RetentionPolicy.Workqueue,
        num_replicas: 1,
        max_consumers: 30_000,
      });
    },
    async stop() {
      await Promise.all([...users.values()].map((user) => user.connection.close()));
      await sender?.close();
    },
    provision: makeConsumer,
    async connectUser(id, onMessage) {
      await makeConsumer(id);
      const connection = await open(id);
      const consumer = await jetstream(connection, PATIENT).consumers.get('INBOX', id);
      const messages = await consumer.consume({
        max_messages: 256,
        callback: (message) => {
          onMessage(Buffer.from(message.data.buffer, message.data.byteOffset, message.data.length));
          message.ack();
        },
      });
      users.set(id, { connection, stop: () => messages.stop() });
    },
    async disconnectUser(id) {
      const user = users.get(id);
      users.delete(id);
      user?.stop();
      await user?.connection.drain();
    },
    async sendTo(id, text) {
      await stream.publish(`in.${id}`, utf8.encode(text));
    },
    async ackBarrier(id) {
      await users.get(id)?.connection.flush();
    },
  };
};
