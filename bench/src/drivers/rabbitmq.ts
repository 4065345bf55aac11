import amqp, { type Channel, type ChannelModel, type ConfirmChannel } from 'amqplib';
import type { CreateDriver } from '../driver.ts';
import { npmVersion } from '../versions.ts';
import { AMQP_URL, RABBIT_DURABILITY, rabbitVersions, startRabbit, USER_QUEUE } from './rabbit-server.ts';

type User = { connection: ChannelModel; channel: Channel; queue: string };

/** RabbitMQ: a durable classic queue per user, publisher confirms, manual ack, prefetch 256. */
export const createRabbitmq: CreateDriver = (host) => {
  const users = new Map<string, User>();
  let connection: ChannelModel;
  let publisher: ConfirmChannel;
  let admin: Channel;
  const open = async () => quiet(await amqp.connect(AMQP_URL, { noDelay: true, timeout: 30_000 }));
  return {
    name: 'rabbitmq',
    durability: RABBIT_DURABILITY,
    versions: () => ({ ...rabbitVersions(), amqplib: npmVersion('amqplib') }),
    async start() {
      await startRabbit(host);
      connection = await open();
      publisher = quiet(await connection.createConfirmChannel());
      admin = quiet(await connection.createChannel());
    },
    async stop() {
      await connection?.close();
    },
    async provision(id) {
      await admin.assertQueue(`in.${id}`, USER_QUEUE);
    },
    async connectUser(id, onMessage) {
      const own = await open();
      const channel = quiet(await own.createChannel());
      const queue = `in.${id}`;
      await channel.assertQueue(queue, USER_QUEUE);
      await channel.prefetch(256);
      users.set(id, { connection: own, channel, queue });
      const take = (message: amqp.ConsumeMessage | null) => {
        if (message === null) return;
        onMessage(message.content);
        channel.ack(message);
      };
      await channel.consume(queue, take, { noAck: false });
    },
    async disconnectUser(id) {
      const user = users.get(id);
      users.delete(id);
      await user?.channel.close();
      await user?.connection.close();
    },
    sendTo: (id, text) =>
      new Promise((resolve, reject) => {
        publisher.sendToQueue(`in.${id}`, Buffer.from(text), { persistent: true }, (error: unknown) =>
          error ? reject(error) : resolve(),
        );
      }),
    // A synchronous call on the same channel is answered after the acks before it.
    async ackBarrier(id) {
      const user = users.get(id);
      await user?.channel.checkQueue(user.queue);
    },
  };
};

/** An error event that nobody hears would end the process; calls report the same by rejecting. */
function quiet<T extends { on(event: 'error', listener: () => void): unknown }>(emitter: T): T {
  emitter.on('error', () => {});
  return emitter;
}
