import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Driver } from '../driver.ts';
import { ServerHost } from '../server-host.ts';
import { WORKLOADS } from './all.ts';
import type { Outcome, Params } from './workload.ts';

/** Is the account right? A driver in memory with faults put in must be found out, a clean one not. */
type Fault = 'duplicate' | 'swap' | 'no-ack' | 'reject' | 'misroute' | 'lose';
type Sink = (message: unknown) => void;

/** Keeps a queue per user; every 100th message meets the fault. */
function memoryDriver(fault?: Fault): Driver {
  const queues = new Map<string, string[]>();
  const online = new Map<string, Sink>();
  const unacked: [string, string][] = [];
  let nth = 0;
  const queueOf = (id: string): string[] => {
    const queue = queues.get(id) ?? [];
    queues.set(id, queue);
    return queue;
  };
  const flush = (id: string) => {
    const sink = online.get(id);
    if (sink === undefined) return;
    for (const text of queueOf(id).splice(0)) {
      sink(text);
      if (fault === 'no-ack') unacked.push([id, text]);
    }
  };
  const store = (id: string, text: string, struck: boolean) => {
    const queue = queueOf(id);
    queue.push(struck && fault === 'misroute' ? text.replace(/"to":"\w+"/, '"to":"zz"') : text);
    if (struck && fault === 'duplicate') queue.push(text);
    if (struck && fault === 'swap' && queue.length > 1) queue.push(...queue.splice(queue.length - 2, 1));
  };
  return {
    name: 'memory',
    durability: 'none',
    versions: () => ({}),
    start: async () => {},
    stop: async () => {},
    async connectUser(id, onMessage) {
      online.set(id, onMessage);
      for (const [user, text] of unacked.splice(0)) queueOf(user).push(text);
      setImmediate(flush, id);
    },
    async disconnectUser(id) {
      online.delete(id);
    },
    async sendTo(id, text) {
      const struck = ++nth % 100 === 0;
      await new Promise(setImmediate);
      if (struck && fault === 'reject') throw new Error('refused');
      if (struck && fault === 'lose') return;
      store(id, text, struck);
      setImmediate(flush, id);
    },
  };
}

// The workloads wait as they do in a measurement: seconds, on a machine that others use too.
vi.setConfig({ testTimeout: 60_000 });

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'restante-bench-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(workload: string, params: Params, fault?: Fault): Promise<Outcome> {
  return WORKLOADS[workload]?.run(memoryDriver(fault), new ServerHost(folder), params, () => {}) as Promise<Outcome>;
}
const W3 = { sizes: [300], returns: 2, warmUsers: 0 };
const W1 = { users: 5, rate: 200, seconds: 1, warmSeconds: 1, quietMs: 500 };

test.concurrent('a clean run has nothing to report', async () => {
  const { counters, figures } = await run('W3', W3);
  expect(counters).toMatchObject({
    sent: 600,
    accepted: 600,
    received: 600,
    lost: 0,
    duplicated: 0,
    outOfOrder: 0,
    failed: 0,
    corrupt: 0,
  });
  expect(figures.redelivered).toBe(0);
});

test.concurrent('what comes twice is counted, in its place and after an ack', async () => {
  expect((await run('W3', W3, 'duplicate')).counters.duplicated).toBe(6);
  expect((await run('W3', { ...W3, returns: 1 }, 'no-ack')).figures.redelivered).toBe(300);
});

test.concurrent('what comes after a later one is counted', async () => {
  expect((await run('W3', W3, 'swap')).counters.outOfOrder).toBe(6);
});

test.concurrent('a refused send is failed, not lost; a lost one is lost', async () => {
  expect((await run('W1', W1, 'reject')).counters).toMatchObject({ failed: 4, lost: 0, errors: { refused: 4 } });
  expect((await run('W1', W1, 'lose')).counters).toMatchObject({ failed: 0, lost: 4 });
});

test.concurrent("another user's message is misrouted, and missing where it belongs", async () => {
  expect((await run('W1', W1, 'misroute')).counters).toMatchObject({ misrouted: 4, lost: 4 });
});

test.concurrent('everybody at once gets everything', async () => {
  const { figures, counters } = await run('W4', { users: 50, each: 20, concurrency: 10 });
  expect(figures).toMatchObject({ drainedUsers: 50, connectErrors: 0, redelivered: 0 });
  expect(counters).toMatchObject({ received: 1_000, lost: 0 });
});

test.concurrent('a closed loop counts what it delivered', async () => {
  const { figures, counters } = await run('W2', { seconds: 2, warmSeconds: 1 });
  expect(figures.deliveredPerSec).toBeGreaterThan(0);
  expect(counters.lost).toBe(0);
});

test.concurrent('a connection is held where a message comes on it', async () => {
  const { figures } = await run('W5a', { connections: 200 }, 'lose');
  expect(figures).toMatchObject({ connected: 200, held: 198 });
});

test.concurrent('one of those with a queue reads it back', async () => {
  const { figures } = await run('W5b', { users: 3, each: 10, settleMs: 0 });
  expect(figures).toMatchObject({ queued: 30, readBack: 10 });
});

const SOAK = { users: 20, away: 2, awaySeconds: 0.2, rate: 200, minutes: 0.05, warmSeconds: 1, sampleSeconds: 0.5 };

test.concurrent('a soak of who comes and goes is clean, and has a sample a window', async () => {
  const { figures, counters, series } = await run('soak', SOAK);
  expect(counters).toMatchObject({ sent: 600, received: 600, lost: 0, duplicated: 0, outOfOrder: 0, failed: 0 });
  expect(figures).toMatchObject({ connectErrors: 0, undrained: 0, stalled: 0, redelivered: 0, minutes: 0.05 });
  expect(series).toHaveLength(4);
  expect(series?.at(-1)).toMatchObject({ minute: 0.05, p50Ms: expect.any(Number), return50Ms: expect.any(Number) });
});

test.concurrent('a soak counts what was lost or came twice on the way', async () => {
  expect((await run('soak', SOAK, 'lose')).counters).toMatchObject({ lost: 6, duplicated: 0 });
  expect((await run('soak', SOAK, 'duplicate')).counters).toMatchObject({ lost: 0, duplicated: 6 });
});
