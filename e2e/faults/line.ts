import { once } from 'node:events';
import net from 'node:net';

/** What a line does to what passes. `lost`: answers are read and thrown away, the requests go through. */
export type LineFault = { delayMs?: number; answersLost?: boolean; refuses?: boolean };

/** A TCP line that does as it is told: between clients and gateways, and between services and what they keep things in. */
export type Line = {
  port: number;
  set(fault: LineFault): void;
  /** Ends every connection that is open now. @returns how many */
  cut(): number;
  /** How many connections are open. */
  readonly open: number;
  /** What the present fault has done something to: pieces that came late, answers that were dropped. */
  readonly hurt: number;
  close(): Promise<void>;
};

type Pair = { client: net.Socket; server: net.Socket };

export async function startLine(target: { host?: string; port: number }): Promise<Line> {
  const pairs = new Set<Pair>();
  let fault: LineFault = {};
  let hurt = 0;
  const listener = net.createServer((client) => {
    if (fault.refuses) return void client.destroy();
    const server = net.connect({ host: '127.0.0.1', ...target });
    const pair = { client, server };
    pairs.add(pair);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.setNoDelay(true);
      from.on('data', (data) => {
        if (pass(from, to, data, from === server, fault)) hurt++;
      });
      from.on('error', () => {});
      // A half-closed connection is whole for what still comes the other way.
      from.on('end', () => to.end());
      from.on('close', (broken) => {
        pairs.delete(pair);
        if (broken) to.destroy();
        else to.end();
      });
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const cut = () => {
    const count = pairs.size;
    for (const { client, server } of pairs) {
      client.destroy();
      server.destroy();
    }
    return count;
  };
  return {
    port: (listener.address() as net.AddressInfo).port,
    set(next) {
      fault = next;
      hurt = 0;
    },
    cut,
    get open() {
      return pairs.size;
    },
    get hurt() {
      return hurt;
    },
    async close() {
      cut();
      listener.close();
    },
  };
}

/** Paused while it waits, so that order is kept and memory bounded. @returns whether the fault has done something to it */
function pass(
  from: net.Socket,
  to: net.Socket,
  data: Buffer,
  isAnswer: boolean,
  { delayMs, answersLost }: LineFault,
): boolean {
  if (isAnswer && answersLost) return true;
  const write = () => {
    if (to.destroyed || to.write(data)) return false;
    from.pause();
    to.once('drain', () => from.resume());
    return true;
  };
  if (!delayMs) {
    write();
    return false;
  }
  from.pause();
  setTimeout(() => {
    if (!write()) from.resume();
  }, delayMs);
  return true;
}
