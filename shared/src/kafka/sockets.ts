import net from 'node:net';
import tls from 'node:tls';
import type { ISocketFactory } from 'kafkajs';

const KEEP_ALIVE_DELAY_MS = 60_000;

/**
 * The sockets of one kafkajs client. Without Nagle's delay, which kafkajs leaves on (a small request behind an
 * unacknowledged one waits for up to 40 ms); and with an end that works: kafkajs's own `disconnect` waits for answers
 * that may never come, and a consumer stopped in the middle of a join would join all the same, and hold its partitions.
 */
export class ClientSockets {
  #sockets = new Set<net.Socket>();
  #destroyed = false;

  readonly create: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (this.#destroyed) throw new Error('this Kafka client was destroyed');
    const servername = net.isIP(host) === 0 ? { servername: host } : {};
    const socket = ssl
      ? tls.connect({ host, port, ...servername, ...ssl }, onConnect)
      : net.connect({ host, port }, onConnect);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  };

  /** Cuts every connection, and lets none be made. What waits for an answer fails with a closed connection. */
  destroy(): void {
    this.#destroyed = true;
    for (const socket of this.#sockets) {
      if (socket.writableEnded) socket.destroy();
      else socket.destroy(new Error('this Kafka client was destroyed'));
    }
  }
}
