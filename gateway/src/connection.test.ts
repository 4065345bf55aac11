import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { testConnection } from './test-socket.ts';

vi.setConfig({ testTimeout: 60_000 });

const written = (...frames: [seq: number, position: number, bytes: number][]) => {
  const { connection } = testConnection();
  connection.unacked = frames.map(([seq, position, bytes]) => ({ seq, position, bytes }));
  connection.unackedBytes = frames.reduce((sum, [, , bytes]) => sum + bytes, 0);
  return connection;
};

describe('takeAck', () => {
  it('gives the position that was sent at that seq, and forgets what is acked', () => {
    const connection = written([1, 100, 10], [2, 200, 20], [3, 300, 40]);
    expect(connection.takeAck(2)).toBe(200);
    expect(connection).toMatchObject({ acked: 2, unackedBytes: 40, unacked: [{ seq: 3 }] });
    expect(connection.takeAck(3)).toBe(300);
    expect(connection).toMatchObject({ acked: 3, unackedBytes: 0, unacked: [] });
  });

  it('gives 0 where no entry was sent at that seq: a gap, or inside one', () => {
    expect(written([5, 0, 10], [6, 600, 10]).takeAck(5)).toBe(0);
    expect(written([1, 100, 10], [5, 0, 10]).takeAck(3)).toBe(0);
    const inside = written([1, 100, 10], [5, 0, 10]);
    inside.takeAck(3);
    expect(inside.unacked).toEqual([{ seq: 5, position: 0, bytes: 10 }]);
  });

  it('keeps the bytes and the seqs in step, whatever is acked', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(sizes, fc.array(fc.nat({ max: 60 })), (bytes, acks) => {
        const connection = written(...bytes.map((size, i): [number, number, number] => [i + 1, (i + 1) * 100, size]));
        for (const seq of acks.filter((ack) => ack <= bytes.length)) {
          if (seq <= connection.acked) continue;
          expect(connection.takeAck(seq)).toBe(seq * 100);
          expect(connection.unacked.map((frame) => frame.seq)).toEqual(bytes.map((_, i) => i + 1).slice(seq));
          expect(connection.unackedBytes).toBe(bytes.slice(seq).reduce((sum, size) => sum + size, 0));
        }
      }),
    );
  });
});

describe('goTo', () => {
  it('begins anew, but is drained only once', () => {
    const connection = written([1, 100, 10]);
    Object.assign(connection, { drained: true, drainedAt: 4, behind: true, gapSinceMs: 9, ackPosition: 5 });
    connection.goTo(2, 7);
    expect(connection).toMatchObject({
      gen: 2,
      acked: 7,
      expect: 8,
      unacked: [],
      unackedBytes: 0,
      behind: false,
      gapSinceMs: 0,
      drained: true,
      drainedAt: undefined,
      ackPosition: 0,
    });
  });
});
