import { afterEach, expect, it, vi } from 'vitest';
import { Connection, type Socket } from './connection.ts';
import { Connections, type ConnectionsOptions } from './connections.ts';

const ROUND_MS = 1_000;
afterEach(() => {
  vi.useRealTimers();
});

it('asserts each session every ten seconds, at whatever pace others leave and come', async () => {
  vi.useFakeTimers();
  const asserted = new Map<string, number>();
  const inbox = {
    run: async (calls: string[]) => calls.map(() => 'ok'),
    assertCall: (_: string, conn: string) => {
      asserted.set(conn, (asserted.get(conn) ?? 0) + 1);
      return conn;
    },
  };
  const log = { event: async () => undefined };
  const options = { inbox, log, windowBytes: 1, slot: { current: () => ({ slot: 1 }) } };
  const connections = new Connections(options as unknown as ConnectionsOptions);
  let opened = 0;
  const open = () => {
    const id = `c${opened++}`;
    const connection = new Connection(id, `u${id}`, 'd1', Number.MAX_SAFE_INTEGER, 0);
    connections.attach(connection, { getBufferedAmount: () => 0 } as unknown as Socket);
    return connection;
  };
  const leaving = Array.from({ length: 100 }, open);
  const staying = Array.from({ length: 20 }, open);
  connections.start();
  for (let second = 1; second <= 100; second++) {
    await vi.advanceTimersByTimeAsync(ROUND_MS);
    // One that came before those who stay leaves each second, so that these are one place further to the front.
    connections.closed(leaving[second - 1]!, 1000);
    open();
  }
  connections.stop();
  expect(staying.map(({ id }) => asserted.get(id))).toEqual(staying.map(() => 10));
});
