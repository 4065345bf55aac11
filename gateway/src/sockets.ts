import { MAX_FRAME_BYTES } from '@restante/shared/contract/client-frames';
import { CLOSE } from '@restante/shared/contract/codes';
import type { TemplatedApp } from 'uws-current';
import type { SocketData } from './connection.ts';
import type { Connections } from './connections.ts';
import { countLimited } from './guard.ts';
import { type HandshakeContext, onUpgrade } from './handshake.ts';
import type { Uws } from './uws.ts';

/** uWebSockets closes with 1006 beyond this, so the bound of the protocol is checked in the handler, below it. */
const MAX_PAYLOAD_BYTES = 4 * MAX_FRAME_BYTES;
/** Frames that a client may send before its welcome, which waits for a rebuild at most. */
const MAX_EARLY_FRAMES = 64;
const MAX_IDLE_SECONDS = 960;

/** Serves `GET /v1/connect`. Frames go to `connections.onText` in the order in which they came, once the inbox is known. */
export function serveSockets(app: TemplatedApp, uws: Uws, connections: Connections, handshake: HandshakeContext): void {
  app.ws<SocketData>('/v1/connect', {
    maxPayloadLength: MAX_PAYLOAD_BYTES,
    idleTimeout: Math.min(MAX_IDLE_SECONDS, handshake.config.HEARTBEAT_SECONDS * 2),
    sendPingsAutomatically: true,
    compression: uws.DISABLED,
    // None: uWebSockets would drop frames beyond it, each of which counts. The window bounds what a socket can hold.
    maxBackpressure: 0,
    upgrade: (response, request, context) => onUpgrade(response, request, context, handshake),
    open: (socket) => connections.attach(socket.getUserData().connection, socket),
    message: (socket, message, isBinary) => {
      const { connection } = socket.getUserData();
      if (message.byteLength > MAX_FRAME_BYTES) {
        countLimited('FRAME_BYTES');
        return connections.throwOut(connection, CLOSE.tooBig.code, `a frame has at most ${MAX_FRAME_BYTES} bytes`);
      }
      // A binary message is no JSON text: answered as such.
      const text = isBinary ? '' : Buffer.from(message).toString('utf8');
      if (connection.gen !== undefined) return connections.onText(connection, text);
      connection.early ??= [];
      if (connection.early.push(text) > MAX_EARLY_FRAMES) {
        connections.throwOut(connection, CLOSE.protocol.code, 'too many frames before the welcome');
      }
    },
    close: (socket, code) => connections.closed(socket.getUserData().connection, code),
  });
}
