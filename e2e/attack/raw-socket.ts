import { connect, type Socket } from 'node:net';

/** What became of a connection: the status it was refused with, the code it was closed with, or that it was cut without a word. */
export type End = `status ${string}` | `close ${number}` | 'cut';
export type RawSocketEvents = {
  connected(): void;
  /** Let in: the server's first frame has come. */
  welcomed(): void;
  ended(end: End): void;
};

const OPCODE = { text: 0x1, close: 0x8, ping: 0x9, pong: 0xa } as const;
const FIN = 0x80;
const MASKED = 0x80;

/**
 * A connection as an attacker makes it: no library, nothing kept of what comes but the status, pings and the close code, since it shares its
 * machine with what it attacks.
 */
export class RawSocket {
  readonly #socket: Socket;
  readonly #events: RawSocketEvents;
  #upgraded = false;
  #welcomed = false;
  #end: End = 'cut';
  /** Bytes of the frame that is coming which are still to be skipped. */
  #skip = 0;
  /** The beginning of what comes in pieces: the answer's head, the header of a frame. */
  #piece: Buffer | undefined;

  constructor(host: string, port: number, localAddress: string, events: RawSocketEvents) {
    this.#events = events;
    this.#socket = connect({ host, port, localAddress, noDelay: true });
    this.#socket.on('connect', events.connected);
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => events.ended(this.#end));
  }

  write(data: string | Buffer): void {
    if (this.#socket.writable) this.#socket.write(data);
  }

  /** What the server does not read yet. */
  get unread(): number {
    return this.#socket.writableLength;
  }

  #take(chunk: Buffer): void {
    if (this.#upgraded) return this.#frames(chunk);
    // The head of an answer comes in pieces.
    const data = this.#piece ? Buffer.concat([this.#piece, chunk]) : chunk;
    const headEnd = data.indexOf('\r\n\r\n');
    if (headEnd < 0) {
      this.#piece = data;
      return;
    }
    this.#piece = undefined;
    const status = data.toString('latin1', 9, 12);
    if (status !== '101') {
      this.#end = `status ${status}`;
      return;
    }
    this.#upgraded = true;
    if (data.length > headEnd + 4) this.#frames(data.subarray(headEnd + 4));
  }

  #frames(chunk: Buffer): void {
    if (!this.#welcomed) this.#events.welcomed();
    this.#welcomed = true;
    const data = this.#piece ? Buffer.concat([this.#piece, chunk]) : chunk;
    this.#piece = undefined;
    let at = Math.min(this.#skip, data.length);
    this.#skip -= at;
    while (at < data.length) {
      const short = data.length - at < 2 ? 0 : data[at + 1]!;
      const header = short === 127 ? 10 : short === 126 ? 4 : 2;
      // Pings and closes are read whole: they have 125 bytes at most.
      const opcode = data[at]! & 0x0f;
      const needs = header + (opcode >= OPCODE.close ? short : 0);
      if (data.length - at < Math.max(2, needs)) {
        this.#piece = Buffer.from(data.subarray(at));
        return;
      }
      const bytes = header === 10 ? data.readUInt32BE(at + 6) : header === 4 ? data.readUInt16BE(at + 2) : short;
      if (opcode === OPCODE.ping) this.write(frame(OPCODE.pong, data.subarray(at + header, at + header + bytes)));
      if (opcode === OPCODE.close && bytes >= 2) this.#end = `close ${data.readUInt16BE(at + header)}`;
      const next = at + header + bytes;
      this.#skip = Math.max(0, next - data.length);
      at = Math.min(next, data.length);
    }
  }
}

/** A text frame of a client. */
export const textFrame = (text: string): Buffer => frame(OPCODE.text, Buffer.from(text));

/** Masked, as a client's must be; with a mask of zeros, which leaves the payload as it is. */
function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const size = length < 126 ? [length] : length < 65_536 ? [126, length >> 8, length & 0xff] : [127, 0, 0, 0, 0];
  const wide = Buffer.alloc(length < 65_536 ? 0 : 4);
  if (wide.length > 0) wide.writeUInt32BE(length);
  const first = Buffer.from([FIN | opcode, MASKED | size[0]!, ...size.slice(1)]);
  return Buffer.concat([first, wide, Buffer.alloc(4), payload]);
}
