import { afterEach, expect, it, vi } from 'vitest';
import { Connection, type Socket } from './connection.ts';
import { Connections, type ConnectionsOptions } from './connections.ts';
import { write } from './deliver.ts';
import { TestSocket } from './test-socket.ts';

const ROUND_MS = 1_000;
const FRAME_BYTES = 100 * 1024;
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

it('closes who reads nothing, once more is buffered for it than its window and some, and keeps who reads slowly', async () => {
  vi.useFakeTimers();
  const inbox = {
    run: async (calls: string[]) => calls.map(() => 'ok'),
    assertCall: (_: string, conn: string) => conn,
  };
  const log = { event: async () => undefined };
  const windowBytes = 64 * 1024;
  const options = { inbox, log, windowBytes, slot: { current: () => ({ slot: 1 }) } } as unknown as ConnectionsOptions;
  const connections = new Connections(options);
  /** Buffers what its reader has not read, as uWebSockets does. */
  class ReadSocket extends TestSocket {
    readonly connection = new Connection(`c${connections.all.size}`, 'alice', 'd1', Number.MAX_SAFE_INTEGER, 0);
    buffered = 0;
    closedWith: number | undefined;
    constructor() {
      super();
      connections.attach(this.connection, this as unknown as Socket);
    }
    override send(text: string): void {
      this.buffered += text.length;
    }
    read(bytes: number): void {
      this.buffered = Math.max(0, this.buffered - bytes);
    }
    getBufferedAmount = () => this.buffered;
    end(code: number): void {
      this.closedWith = code;
      connections.closed(this.connection, code);
    }
  }
  const [silent, slow, idle] = [new ReadSocket(), new ReadSocket(), new ReadSocket()];
  connections.start();
  for (let second = 1; second <= 60; second++) {
    for (const { connection } of [silent, slow])
      if (!connection.closed)
        write(connection, { t: 'bye', code: 0, reason: 'x'.repeat(FRAME_BYTES), reconnectAfterMs: 0 });
    slow.read(FRAME_BYTES * 0.95);
    await vi.advanceTimersByTimeAsync(ROUND_MS);
  }
  connections.stop();
  expect([silent.closedWith, slow.closedWith, idle.closedWith]).toEqual([4008, undefined, undefined]);
  expect(slow.buffered).toBeGreaterThan(windowBytes);
});
