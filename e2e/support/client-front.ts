import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** Strict, so that the SDK is known to work under such a policy. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Pages and a way to a gateway under one address, whose network a test can take away. */
export type ClientFront = {
  url: string;
  /** False: connections to the gateway are cut and refused; pages still come. */
  setOnline(online: boolean): void;
  /** Sockets that are open now. */
  readonly connections: number;
  close(): Promise<void>;
};

export type FrontOptions = {
  gatewayUrl: string;
  token: (user: string) => Promise<string>;
  /** By path. */
  pages: Record<string, { type: string; body: string }>;
};

/** Serves pages and tokens, and passes `/v1` on to a gateway. */
export async function startClientFront({ gatewayUrl, token, pages }: FrontOptions): Promise<ClientFront> {
  const gateway = new URL(gatewayUrl);
  const sockets = new Set<Socket>();
  let online = true;

  const page = (path: string, response: ServerResponse): void => {
    const found = pages[path];
    if (found === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': `${found.type}; charset=utf-8`, 'content-security-policy': CSP });
    response.end(found.body);
  };
  const pass = (incoming: IncomingMessage, response: ServerResponse): void => {
    if (!online) return void incoming.socket.destroy();
    const { method, url, headers } = incoming;
    const outgoing = request(
      { host: gateway.hostname, port: gateway.port, method, path: url, headers: { ...headers, host: gateway.host } },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    outgoing.on('error', () => response.destroy());
    incoming.pipe(outgoing);
  };

  const server = createServer((incoming, response) => {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://front');
    if (pathname.startsWith('/v1/')) return pass(incoming, response);
    if (pathname !== '/demo/token') return page(pathname, response);
    token(searchParams.get('user') ?? '').then(
      (text) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token: text })),
      () => response.writeHead(500).end(),
    );
  });
  server.on('upgrade', (incoming: IncomingMessage, client: Socket, head: Buffer) => {
    if (!online) return client.destroy();
    const upstream = connect(Number(gateway.port), gateway.hostname);
    sockets.add(client);
    client.on('close', () => sockets.delete(client));
    const lines = Object.entries({ ...incoming.headers, host: gateway.host }).map(
      ([name, value]) => `${name}: ${String(value)}`,
    );
    upstream.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    upstream.write(head);
    client.pipe(upstream).pipe(client);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return sockets.size;
    },
    setOnline(value) {
      online = value;
      if (!online) for (const socket of sockets) socket.destroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
