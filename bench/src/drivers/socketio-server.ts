import { createServer } from 'node:http';
import amqp, { type Channel, type ConsumeMessage } from 'amqplib';
import { Server, type Socket } from 'socket.io';
import { USER_QUEUE } from './rabbit-server.ts';

/**
 * The usual guide: Socket.IO in front, one durable RabbitMQ queue per user behind, ack by Socket.IO's callback.
 * Run as a process of its own: socketio-server.js <port> <amqp url>
 */
const CHANNELS = 16;
const [port, url] = process.argv.slice(2) as [string, string];
const connection = await amqp.connect(url, { noDelay: true });
const publisher = await connection.createConfirmChannel();
const channels = await Promise.all(
  Array.from({ length: CHANNELS }, async () => {
    const channel = await connection.createChannel();
    await channel.prefetch(256);
    return channel;
  }),
);
const known = new Set<string>();

function channelOf(user: string): Channel {
  let hash = 0;
  for (let i = 0; i < user.length; i++) hash = (hash * 31 + user.charCodeAt(i)) >>> 0;
  return channels[hash % CHANNELS] as Channel;
}

async function queueOf(channel: Channel, user: string): Promise<string> {
  const queue = `in.${user}`;
  if (!known.has(queue)) {
    await channel.assertQueue(queue, USER_QUEUE);
    known.add(queue);
  }
  return queue;
}

const http = createServer();
const io = new Server(http, {
  transports: ['websocket'],
  perMessageDeflate: false,
  pingInterval: 120_000,
  pingTimeout: 60_000,
  serveClient: false,
});
io.use((socket, next) => next(socket.handshake.auth.uid ? undefined : new Error('no uid')));
io.on('connection', (socket) => void serve(socket));

async function serve(socket: Socket): Promise<void> {
  const user = String(socket.handshake.auth.uid);
  const channel = channelOf(user);
  const unacked = new Set<ConsumeMessage>();
  let consumerTag: string | undefined;
  let gone = false;
  const leave = async () => {
    if (gone) return;
    gone = true;
    if (consumerTag !== undefined) await channel.cancel(consumerTag);
    for (const message of unacked) channel.nack(message, false, true);
    unacked.clear();
  };
  socket.on('send', (to: string, body: string, done: (error: string | null) => void) => {
    publisher.sendToQueue(`in.${to}`, Buffer.from(body), { persistent: true }, (error: unknown) =>
      done(error ? 'failed' : null),
    );
  });
  socket.on('provision', (id: string, done: () => void) => void queueOf(channel, id).then(done));
  socket.on('barrier', (done: () => void) => void channel.checkQueue(`in.${user}`).then(done));
  socket.on('leave', (done: () => void) => void leave().then(done));
  socket.on('disconnect', () => void leave());
  if (socket.handshake.auth.sender) {
    socket.emit('ready');
    return;
  }
  const queue = await queueOf(channel, user);
  socket.emit('ready');
  const take = (message: ConsumeMessage | null) => {
    if (message === null) return;
    if (gone) {
      channel.nack(message, false, true);
      return;
    }
    unacked.add(message);
    socket.emit('message', message.content.toString(), () => {
      if (unacked.delete(message)) channel.ack(message);
    });
  };
  ({ consumerTag } = await channel.consume(queue, take));
  if (gone) await channel.cancel(consumerTag);
}

http.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
process.on('SIGTERM', () => process.exit(0));
