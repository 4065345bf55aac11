import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { collectDefaultMetrics, type Registry, register } from 'prom-client';
import { messageOf } from './errors.ts';

export type Readiness = () => { ready: boolean; reasons: string[] };
export type AdminServer = { url: string; close(): Promise<void> };

/** Nobody slow may hold a connection of this port for long. */
const LIMITS = { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 5_000, maxHeaderSize: 16 * 1024 };

/**
 * The event loop's lag is looked at so often. A sample is the time between two looks, so this is what an idle process reports: alerts and
 * dashboards take it off. At the library's 10 ms an idle service woke up a hundred times a second for it.
 */
const LOOP_SAMPLE_MS = 50;

/**
 * The port for machines and operators: `/metrics`, `/healthz` (the process runs), `/readyz` (it takes work; 503 with the reasons where not).
 * Loopback unless HOST says otherwise.
 */
export async function startAdminServer(options: {
  host: string;
  port: number;
  readiness: Readiness;
  registry?: Registry;
  /** What else is served here. @returns whether the request was for it */
  serve?: (request: IncomingMessage, response: ServerResponse) => boolean;
}): Promise<AdminServer> {
  const registry = options.registry ?? register;
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS });
  const server = createServer(LIMITS, (request, response) => {
    if (options.serve?.(request, response)) return;
    const path = (request.url ?? '/').split('?')[0];
    const json = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.method !== 'GET') return json(405, { code: 'bad_frame', detail: `${request.method} is not GET` });
    if (path === '/metrics') {
      registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        (error: unknown) => json(500, { code: 'internal', detail: messageOf(error) }),
      );
    } else if (path === '/healthz') json(200, { ok: true });
    else if (path === '/readyz') {
      const { ready, reasons } = options.readiness();
      json(ready ? 200 : 503, { ready, reasons });
    } else json(404, { code: 'bad_frame', detail: `no such path: ${path}` });
  });
  await listen(server, options.host, options.port);
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : options.port;
  return {
    url: `http://${options.host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`ADMIN_PORT=${port} is taken on ${host}: free it or set another`)
          : error,
      ),
    );
    server.listen(port, host, () => resolve());
  });
}
