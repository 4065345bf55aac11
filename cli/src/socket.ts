import { CLOSE } from '@restante/shared/contract/codes';
import WebSocket from 'ws';
import { FailedError } from './command.ts';
import { type Frame, parseFrame } from './frames.ts';
import type { Gateway } from './target.ts';

const HANDSHAKE_MS = 10_000;

export type Closed = { code: number; reason: string; reconnect: 'backoff' | 'new-token' | 'never' };
export type SocketHandlers = { onFrame: (frame: Frame, text: string) => void; onClose: (closed: Closed) => void };
export type Socket = { send: (frame: object) => void; close: () => void };

/** The gateway answered the upgrade with an HTTP status. `reconnect` says whether trying again can help. */
export class RefusedError extends FailedError {
  override name = 'RefusedError';
  readonly status: number;
  constructor(status: number, message: string, remedy?: string) {
    super(message, remedy);
    this.status = status;
  }
  get transient(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Resolves when the socket is open; `welcome` is then the first frame. @throws RefusedError */
export function openSocket(gateway: Gateway, token: string, device: string, handlers: SocketHandlers): Promise<Socket> {
  const url = `${gateway.url.replace(/^http/, 'ws')}/v1/connect?device=${encodeURIComponent(device)}`;
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, 'restante.v1', {
      headers: { authorization: `Bearer ${token}` },
      handshakeTimeout: HANDSHAKE_MS,
      perMessageDeflate: false,
    });
    let opened = false;
    ws.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        if (body.length < 4096) body += chunk.toString();
      });
      response.on('end', () =>
        reject(refused(gateway, response.statusCode ?? 0, body, response.headers['retry-after'])),
      );
      response.on('error', () => reject(refused(gateway, response.statusCode ?? 0, body, undefined)));
    });
    ws.on('error', (error) => {
      if (!opened)
        reject(
          new RefusedError(
            0,
            `${gateway.name} (${gateway.url}) can't be reached: ${error.message}`,
            'is it running? `npx restante status`',
          ),
        );
    });
    ws.on('open', () => {
      opened = true;
      resolve({
        send: (frame) => ws.send(JSON.stringify(frame)),
        close: () => ws.close(1000),
      });
    });
    ws.on('message', (data) => {
      const text = data.toString();
      const frame = parseFrame(text);
      if (frame !== undefined) handlers.onFrame(frame, text);
    });
    ws.on('close', (code, reason) => {
      if (opened) handlers.onClose({ code, reason: reason.toString(), reconnect: reconnectRule(code) });
    });
  });
}

/** What the close code asks of the client; a code that the table doesn't name, as 1006, is a connection lost. */
export function reconnectRule(code: number): Closed['reconnect'] {
  return Object.values(CLOSE).find((close) => close.code === code)?.reconnect ?? 'backoff';
}

function refused(gateway: Gateway, status: number, body: string, retryAfter: string | undefined): RefusedError {
  let said = '';
  try {
    const problem = JSON.parse(body) as { code?: string; detail?: string; title?: string };
    said = [problem.code, problem.detail ?? problem.title].filter(Boolean).join(': ');
  } catch {
    said = body.slice(0, 200);
  }
  const again = retryAfter === undefined ? '' : `, try again in ${retryAfter} s`;
  return new RefusedError(
    status,
    `${gateway.name} refused the connection with ${status}${said === '' ? '' : ` (${said})`}${again}`,
    REMEDIES[status],
  );
}

const REMEDIES: Record<number, string> = {
  401: 'the token is bad or expired: is the secret that of the running system?',
  404: 'nothing answers /v1/connect there: is this a gateway?',
  503: 'the gateway is overloaded or not ready yet: `npx restante status`',
};
