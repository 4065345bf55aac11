import { createServer } from 'node:net';

/**
 * Below the range that systems take for outgoing connections: a client that keeps dialling a dead engine would
 * otherwise now and then be given that very port, connect to itself, and keep the engine from coming back.
 */
const LOWEST = 15_000;
const HIGHEST = 24_999;
const ATTEMPTS = 200;
const handedOut = new Set<number>();

/** A port of 127.0.0.1 that nothing listens on and this process has not handed out before. `beside`: offsets that must be free too. */
export async function freePort(beside: readonly number[] = []): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST + 1));
    if (handedOut.has(port)) continue;
    const wanted = [port, ...beside.map((offset) => port + offset)];
    const free = await Promise.all(wanted.map((candidate) => isFree(candidate, '127.0.0.1')));
    if (!free.every(Boolean) || handedOut.has(port)) continue;
    handedOut.add(port);
    return port;
  }
  throw new Error(`found no free port from ${LOWEST} to ${HIGHEST} on 127.0.0.1`);
}

export function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
