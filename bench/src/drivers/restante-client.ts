import WebSocket from 'ws';

const HANDSHAKE_MS = 30_000;
const CLOSE_MS = 5_000;

/** The fields that the harness looks at, of any frame. */
type Frame = { t: string; id?: string; seq?: number; gen?: number; body?: string; code?: string; message?: string };
export type FrameHandlers = { onMessage?: (body: string) => void; onAnswer?: (frame: Frame) => void };

/**
 * A client of PROTOCOL.md with as little in it as a good one may have: each frame is parsed once, and one cumulative ack
 * goes out for all that came in a turn of the loop.
 */
export class RestanteClient {
  readonly #ws: WebSocket;
  readonly #handlers: FrameHandlers;
  #seq = 0;
  #gen = 0;
  #ackScheduled = false;
  #leaving = false;
  #acked = 0;

  /** Resolves with the first frame, which is `welcome`. */
  static open(url: string, device: string, token: string, handlers: FrameHandlers): Promise<RestanteClient> {
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/connect?device=${device}`, 'restante.v1', {
        headers: { authorization: `Bearer ${token}` },
        perMessageDeflate: false,
        handshakeTimeout: HANDSHAKE_MS,
      });
      const client = new RestanteClient(ws, handlers, () => resolve(client));
      ws.on('error', reject);
      ws.on('close', (code, reason) => reject(new Error(`closed with ${code} ${reason}`)));
    });
  }

  private constructor(ws: WebSocket, handlers: FrameHandlers, welcomed: () => void) {
    this.#ws = ws;
    this.#handlers = handlers;
    ws.on('message', (data) => {
      // Its ack would come too late, so it isn't taken either: it comes again.
      if (this.#leaving) return;
      const frame = JSON.parse(data as unknown as string) as Frame;
      if (frame.t === 'message') this.#take(frame);
      else if (frame.t === 'welcome') welcomed();
      else if (frame.t === 'gap') this.#ackLater(frame);
      else this.#handlers.onAnswer?.(frame);
    });
  }

  /** The highest seq that an ack has gone out for. */
  get acked(): number {
    return this.#acked;
  }

  send(text: string): void {
    this.#ws.send(text);
  }

  onClose(listener: () => void): void {
    this.#ws.on('close', listener);
  }

  /** Acks what came, then closes: the server takes both in this order. */
  async close(): Promise<void> {
    if (this.#ws.readyState === WebSocket.CLOSED) return;
    this.#ack();
    this.#leaving = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#ws.terminate(), CLOSE_MS);
      this.#ws.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#ws.close(1000);
    });
  }

  terminate(): void {
    this.#ws.terminate();
  }

  #take(frame: Frame): void {
    this.#handlers.onMessage?.(frame.body as string);
    this.#ackLater(frame);
  }

  #ackLater(frame: Frame): void {
    this.#seq = frame.seq as number;
    this.#gen = frame.gen as number;
    if (this.#ackScheduled) return;
    this.#ackScheduled = true;
    setImmediate(() => this.#ack());
  }

  #ack(): void {
    this.#ackScheduled = false;
    if (this.#seq === this.#acked || this.#ws.readyState !== WebSocket.OPEN) return;
    this.#acked = this.#seq;
    this.#ws.send(`{"t":"ack","seq":${this.#seq},"gen":${this.#gen}}`);
  }
}
