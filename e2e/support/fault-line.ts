import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type RawData, WebSocket, WebSocketServer } from 'ws';

export type Faults = {
  /** Chance, per frame, that the connection is cut. */
  cut: number;
  /** Chance, per frame, that the line goes dead: nothing passes any more, and nobody is told. */
  halfOpen: number;
  /** Chance, per frame, that it passes twice. */
  twice: number;
  /** Each frame waits up to this long; frames of one direction keep their order. */
  delayMs: number;
  /** Chance that a connection is refused. */
  refuse: number;
};

export const NO_FAULTS: Faults = { cut: 0, halfOpen: 0, twice: 0, delayMs: 0, refuse: 0 };

/** What the line did, to show that a run had faults at all. */
export type FaultCounts = { connections: number; cut: number; halfOpen: number; twice: number; refused: number };

export type FaultLine = {
  url: string;
  counts: FaultCounts;
  set(faults: Faults): void;
  close(): Promise<void>;
};

/**
 * A line between clients and a gateway that misbehaves frame by frame: cut, dead without a word, late, twice. It speaks
 * WebSocket on both sides, because only so can a frame come twice. Calls by HTTP are refused: who uses this has a socket.
 */
export async function startFaultLine(gatewayUrl: string, random: () => number): Promise<FaultLine> {
  const counts: FaultCounts = { connections: 0, cut: 0, halfOpen: 0, twice: 0, refused: 0 };
  let faults = NO_FAULTS;
  const server = createServer((_request, response) => response.writeHead(503).end());
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'restante.v1' });
  server.on('upgrade', (request, socket, head) => {
    if (random() < faults.refuse) {
      counts.refused++;
      return socket.destroy();
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      counts.connections++;
      const offered = String(request.headers['sec-websocket-protocol']).split(/, */);
      relay(client, new WebSocket(gatewayUrl.replace(/^http/, 'ws') + request.url, offered), {
        faults: () => faults,
        random,
        counts,
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    set(next) {
      faults = next;
    },
    async close() {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Relay = { faults: () => Faults; random: () => number; counts: FaultCounts };

function relay(client: WebSocket, gateway: WebSocket, { faults, random, counts }: Relay): void {
  let dead = false;
  const cut = (): void => {
    client.terminate();
    gateway.terminate();
  };
  const opened = new Promise<void>((resolve) => gateway.once('open', () => resolve()));
  const pass = (from: WebSocket, to: WebSocket): void => {
    let last: Promise<unknown> = opened;
    from.on('message', (data: RawData) => {
      const { cut: cutChance, halfOpen, twice, delayMs } = faults();
      const dice = random();
      if (dead) return;
      if (dice < cutChance) {
        counts.cut++;
        return cut();
      }
      if (dice < cutChance + halfOpen) {
        counts.halfOpen++;
        dead = true;
        return;
      }
      const again = dice < cutChance + halfOpen + twice;
      if (again) counts.twice++;
      const arrives = new Promise((resolve) => setTimeout(resolve, random() * delayMs));
      last = Promise.all([last, arrives]).then(() => {
        if (dead || to.readyState !== WebSocket.OPEN) return;
        for (let times = again ? 2 : 1; times > 0; times--) to.send(String(data));
      });
    });
    from.on('error', () => to.terminate());
    from.on('close', (code) => {
      // What a dead line hides, it hides from both: the gateway finds out by itself, as for a phone in a tunnel.
      if (dead && from === client) return void setTimeout(() => to.terminate(), 5000);
      void last.finally(() => (code >= 4000 ? to.close(code) : to.terminate()));
    });
  };
  pass(client, gateway);
  pass(gateway, client);
}
