import { fileURLToPath } from 'node:url';
import { io, type Socket } from 'socket.io-client';
import type { CreateDriver } from '../driver.ts';
import { npmVersion } from '../versions.ts';
import { AMQP_URL, RABBIT_DURABILITY, rabbitVersions, startRabbit } from './rabbit-server.ts';

const PORT = 24_000;
const SERVER = fileURLToPath(new URL('./socketio-server.js', import.meta.url));

/** What guides build: socketio-server.ts (Socket.IO, WebSocket only) over RabbitMQ. */
export const createSocketioRabbitmq: CreateDriver = (host) => {
  const users = new Map<string, Socket>();
  let sender: Socket;
  const open = (auth: object, onMessage?: (message: unknown) => void) =>
    new Promise<Socket>((resolve, reject) => {
      const socket = io(`http://127.0.0.1:${PORT}`, {
        transports: ['websocket'],
        auth,
        forceNew: true,
        reconnection: false,
        timeout: 30_000,
      });
      if (onMessage !== undefined) {
        socket.on('message', (text: string, acknowledge: () => void) => {
          onMessage(text);
          acknowledge();
        });
      }
      socket.once('ready', () => resolve(socket));
      socket.once('connect_error', reject);
    });
  return {
    name: 'socketio-rabbitmq',
    durability: RABBIT_DURABILITY,
    versions: () => ({ 'socket.io': npmVersion('socket.io'), ...rabbitVersions(), amqplib: npmVersion('amqplib') }),
    async start() {
      await startRabbit(host);
      await host.spawn('socketio', process.execPath, [SERVER, String(PORT), AMQP_URL], { port: PORT });
      sender = await open({ uid: 'sender', sender: true });
    },
    async stop() {
      for (const socket of users.values()) socket.disconnect();
      sender?.disconnect();
    },
    async provision(id) {
      await sender.emitWithAck('provision', id);
    },
    async connectUser(id, onMessage) {
      users.set(id, await open({ uid: id }, onMessage));
    },
    async disconnectUser(id) {
      const socket = users.get(id);
      users.delete(id);
      await socket?.emitWithAck('leave');
      socket?.disconnect();
    },
    sendTo: (id, text) =>
      new Promise((resolve, reject) => {
        sender.emit('send', id, text, (error: string | null) =>
          error === null ? resolve() : reject(new Error(error)),
        );
      }),
    async ackBarrier(id) {
      await users.get(id)?.emitWithAck('barrier');
    },
  };
};
