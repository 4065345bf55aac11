import { gapEntry, messageEntry } from '@restante/shared/contract/entry';
import type { OutgoingOp } from '@restante/shared/contract/events';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from './connection.ts';
import { createDeliver, type DeliverOptions, writeWaiting } from './deliver.ts';
import { type TestSocket, testConnection } from './test-socket.ts';

vi.setConfig({ testTimeout: 60_000 });

/** The entry whose seq is `seq`: its position is a hundred times that. */
const entry = (seq: number, body = `m${seq}`) =>
  messageEntry(
    { t: 'send', from: 'bob', conversation: 'dm:alice:bob', id: `message-${seq}`, body, at: 1 },
    seq * 100,
    1,
  );
const run = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

let connection: Connection;
let socket: TestSocket;
let asked: string[];
let give: (...ops: (OutgoingOp | [OutgoingOp, string[]])[]) => void;
const WINDOW = 10;
const PREFETCH = 20;
const WINDOW_BYTES = 2000;

function open(options: Partial<DeliverOptions> = {}): void {
  ({ connection, socket } = testConnection());
  asked = [];
  const deliver = createDeliver(new Map([['c1', connection]]), {
    windowEntries: WINDOW,
    prefetchEntries: PREFETCH,
    windowBytes: WINDOW_BYTES,
    now: () => 1234,
    crowded: () => false,
    answerCall: () => false,
    welcome: (_, gen, acked, tail) => asked.push(`welcome ${gen} ${acked} ${tail}`),
    refill: ({ expect }, reason) => asked.push(`refill from ${expect}: ${reason}`),
    repeatAck: ({ acked }) => asked.push(`ack ${acked} again`),
    close: (_, code, reason) => asked.push(`close ${code} ${reason}`),
    ...options,
  });
  give = (...ops) => {
    for (const op of ops) {
      const [one, entries] = Array.isArray(op) ? op : [op, []];
      deliver({ ops: [one], entries });
    }
  };
}
beforeEach(() => open());

const delivered = (from: number, to: number, high = 0, gen = 1): [OutgoingOp, string[]] => [
  { t: 'deliver', conn: 'c1', gen, q: from, e: run(0, to - from), r: high },
  run(from, to).map((seq) => entry(seq)),
];
const gap = (from: number, to: number): [OutgoingOp, string[]] => [
  { t: 'gap', conn: 'c1', gen: 1, from, q: to, e: 0 },
  [gapEntry(from, to, 'overflow', ['dm:alice:bob'])],
];
const drained = (seq: number, gen = 1): OutgoingOp => ({ t: 'drained', conn: 'c1', gen, seq });
const seqs = () => socket.take().map(({ seq }) => seq);

describe('entries', () => {
  it('are written in their turn, with what says whether they came before', () => {
    give(delivered(1, 3, 2));
    expect(socket.take()).toMatchObject([
      { t: 'message', seq: 1, gen: 1, position: 100, replayed: true },
      { seq: 2, replayed: true },
      { seq: 3, position: 300, replayed: false },
    ]);
    expect(connection).toMatchObject({ expect: 4, gapSinceMs: 0 });
    expect(connection.unacked.map(({ seq, position }) => [seq, position])).toEqual([
      [1, 100],
      [2, 200],
      [3, 300],
    ]);
  });

  it('that come again are dropped', () => {
    give(delivered(1, 3), delivered(1, 3), delivered(2, 4));
    expect(seqs()).toEqual([1, 2, 3, 4]);
  });

  it('that come too early are held until their turn, and the gap is noted', () => {
    give(delivered(3, 4));
    expect(seqs()).toEqual([]);
    expect(connection.gapSinceMs).toBe(1234);
    give(delivered(6, 6), delivered(1, 2));
    expect(seqs()).toEqual([1, 2, 3, 4]);
    expect(connection.gapSinceMs).toBe(1234);
    give(delivered(5, 5));
    expect(seqs()).toEqual([5, 6]);
    expect(connection).toMatchObject({ gapSinceMs: 0, held: undefined });
  });

  it('are held as many as are given ahead, the rest is asked for again', () => {
    open({ windowBytes: 100_000 });
    give(delivered(2, 30));
    expect(connection.held?.size).toBe(PREFETCH);
    give(delivered(1, 1));
    expect(connection.expect).toBe(1 + PREFETCH + 1);
  });

  it('of another generation are dropped, and the next sweep asks', () => {
    give(delivered(1, 2, 0, 2), drained(5, 2));
    expect(seqs()).toEqual([]);
    expect(connection.gapSinceMs).toBe(1234);
  });

  it('that a record lacks are no entries', () => {
    give([{ t: 'deliver', conn: 'c1', gen: 1, q: 1, e: [0, 7], r: 0 }, [entry(1)]]);
    expect(seqs()).toEqual([1]);
  });

  it('of a connection that is not here are dropped', () => {
    give([{ t: 'deliver', conn: 'other', gen: 1, q: 1, e: [0], r: 0 }, [entry(1)]]);
    expect(socket.take()).toEqual([]);
  });
});

describe('a window that is full', () => {
  beforeEach(() => open({ windowBytes: 100_000 }));
  const ack = (seq: number, nowMs = 0) => {
    const position = connection.takeAck(seq);
    const refill = ({ expect }: Connection, reason: string) => asked.push(`refill from ${expect}: ${reason}`);
    writeWaiting(connection, { windowEntries: WINDOW, refill }, nowMs);
    return position;
  };

  it('keeps what comes next until acks make room, in order, and says drained behind it', () => {
    give(delivered(1, 14), gap(15, 17), delivered(18, 18), drained(18));
    expect(seqs()).toEqual(run(1, WINDOW));
    expect(connection).toMatchObject({ written: 10, expect: 19, behind: false, gapSinceMs: 0, drained: false });
    expect(ack(3)).toBe(300);
    expect(seqs()).toEqual([11, 12, 13]);
    ack(12);
    expect(socket.take()).toMatchObject([
      { seq: 14 },
      { t: 'gap', from: 15, seq: 17 },
      { seq: 18 },
      { t: 'drained', seq: 18 },
    ]);
    expect(connection).toMatchObject({ written: 18, waiting: undefined });
    ack(18);
    expect(connection).toMatchObject({ unackedBytes: 0, unacked: [] });
  });

  it('does not take what waits for something missing', () => {
    give(delivered(1, 10), delivered(12, 13));
    expect(connection).toMatchObject({ expect: 11, gapSinceMs: 1234, waiting: undefined });
    give(delivered(11, 11));
    expect(connection).toMatchObject({ expect: 14, gapSinceMs: 0 });
    ack(10);
    expect(seqs()).toEqual(run(1, 13));
  });

  it('counts what waits in the window of bytes', () => {
    open();
    give(delivered(1, 18));
    expect(connection.behind).toBe(true);
    expect(connection.unackedBytes).toBeLessThanOrEqual(WINDOW_BYTES);
    expect(connection.expect).toBeGreaterThan(WINDOW + 1);
  });

  it('keeps nothing beyond it where the gateway keeps as much as it may', () => {
    open({ windowBytes: 100_000, crowded: () => true });
    give(delivered(1, 14));
    expect(seqs()).toEqual(run(1, WINDOW));
    expect(connection).toMatchObject({ behind: true, expect: WINDOW + 1, waiting: undefined });
  });

  it('shows no message whose ttl ran out while it waited: what stands in its place is asked for', () => {
    const lasting = messageEntry(
      {
        t: 'send',
        from: 'bob',
        conversation: 'dm:alice:bob',
        id: 'short',
        body: '"ttlSeconds":1,',
        ttlSeconds: 60,
        at: 1,
      },
      1200,
      1,
    );
    give(delivered(1, 11), [{ t: 'deliver', conn: 'c1', gen: 1, q: 12, e: [0], r: 0 }, [lasting]], delivered(13, 13));
    seqs();
    ack(10, 60_001);
    expect(seqs()).toEqual([11]);
    expect(asked).toEqual(['refill from 12: expired']);
    expect(connection).toMatchObject({ expect: 12, written: 11, waiting: undefined });
    give(gap(12, 12), delivered(13, 13));
    expect(seqs()).toEqual([12, 13]);
    ack(13);
    expect(connection.unackedBytes).toBe(0);
  });

  it('is left behind by a reset, and a connection that was acked past by HTTP begins anew', () => {
    give(delivered(1, 14), { t: 'reset', conn: 'c1', gen: 1, acked: 10, tail: 14 });
    expect(asked).toEqual([]);
    give({ t: 'reset', conn: 'c1', gen: 1, acked: 11, tail: 14 });
    expect(asked).toEqual(['close 4000 acked beyond what this connection has: connect again']);
    give({ t: 'reset', conn: 'c1', gen: 2, acked: 1, tail: 4 });
    expect(connection).toMatchObject({ waiting: undefined, written: 1, expect: 2 });
  });
});

describe('a gap', () => {
  it('stands in the place of what it counts', () => {
    give(gap(1, 5), delivered(6, 6));
    expect(socket.take()).toMatchObject([{ t: 'gap', seq: 5, from: 1, to: 5, count: 5 }, { seq: 6 }]);
    expect(connection.unacked.map(({ position }) => position)).toEqual([0, 600]);
  });

  it('over what was written in part is asked for as it begins now', () => {
    give(delivered(1, 3), gap(2, 5));
    expect(seqs()).toEqual([1, 2, 3]);
    expect(asked).toEqual(['refill from 4: gap']);
  });

  it('waits for its turn as an entry does', () => {
    give(gap(3, 5), delivered(6, 6));
    expect(seqs()).toEqual([]);
    give(delivered(1, 2));
    expect(seqs()).toEqual([1, 2, 5, 6]);
  });
});

describe('the window in bytes', () => {
  it('takes no more than it has, and nothing after what it did not take', () => {
    const large = [entry(1, 'x'.repeat(1500)), entry(2, 'x'.repeat(1500)), entry(3)];
    give([{ t: 'deliver', conn: 'c1', gen: 1, q: 1, e: [0, 1, 2], r: 0 }, large]);
    expect(seqs()).toEqual([1]);
    expect(connection).toMatchObject({ behind: true, expect: 2 });
    give(delivered(2, 3));
    expect(seqs()).toEqual([]);
  });

  it('takes one entry at least, were it larger than the window', () => {
    give([{ t: 'deliver', conn: 'c1', gen: 1, q: 1, e: [0], r: 0 }, [entry(1, 'x'.repeat(5000))]]);
    expect(seqs()).toEqual([1]);
    expect(connection.behind).toBe(false);
  });

  it('asks for nothing while there is no room: the ack that makes some does', () => {
    const large = [entry(1, 'x'.repeat(1500)), entry(2, 'x'.repeat(1500))];
    give([{ t: 'deliver', conn: 'c1', gen: 1, q: 1, e: [0, 1], r: 0 }, large], drained(2));
    give({ t: 'probe', conn: 'c1', gen: 1, tail: 2 });
    expect(connection.gapSinceMs).toBe(0);
    expect(asked).toEqual(['ack 0 again']);
  });

  it('holds for what was held', () => {
    const large = run(2, 4).map((seq) => entry(seq, 'x'.repeat(1500)));
    give([{ t: 'deliver', conn: 'c1', gen: 1, q: 2, e: [0, 1, 2], r: 0 }, large], delivered(1, 1));
    expect(seqs()).toEqual([1, 2]);
    expect(connection).toMatchObject({ behind: true, expect: 3, held: undefined });
  });
});

describe('drained', () => {
  it('is said once, when the backlog is written', () => {
    give(drained(2));
    expect(socket.take()).toEqual([]);
    expect(connection.gapSinceMs).toBe(1234);
    give(delivered(1, 1));
    expect(seqs()).toEqual([1]);
    give(delivered(2, 2));
    expect(socket.take()).toMatchObject([{ seq: 2 }, { t: 'drained', seq: 2, gen: 1 }]);
    give(drained(2), delivered(3, 3), drained(3));
    expect(seqs()).toEqual([3]);
  });

  it('is said of an empty backlog too', () => {
    give(drained(0));
    expect(socket.take()).toEqual([{ t: 'drained', seq: 0, gen: 1 }]);
  });

  it('still asks for what the end of the backlog lacks, when other entries come meanwhile', () => {
    give(drained(5), delivered(1, 1));
    expect(connection.gapSinceMs).toBe(1234);
  });
});

describe('reset', () => {
  const reset = (gen: number, acked: number, tail: number): OutgoingOp => ({
    t: 'reset',
    conn: 'c1',
    gen,
    acked,
    tail,
  });

  it('begins the new generation where the device stands in it', () => {
    give(delivered(1, 3), reset(2, 1, 4), delivered(2, 4, 4, 2));
    expect(socket.take().slice(3)).toMatchObject([
      { t: 'reset', gen: 2, acked: 1, tail: 4 },
      { seq: 2, gen: 2, replayed: true },
      { seq: 3 },
      { seq: 4 },
    ]);
  });

  it('of the generation that the connection is in changes nothing: an entry is sent once on a connection', () => {
    give(delivered(1, 3), reset(1, 0, 3), delivered(1, 3));
    expect(seqs()).toEqual([1, 2, 3]);
  });

  it('is the welcome of a connection that has had none', () => {
    connection.gen = undefined;
    give(delivered(1, 1), drained(1), { t: 'probe', conn: 'c1', gen: 1, tail: 1 });
    expect(socket.take()).toEqual([]);
    give(reset(3, 0, 2));
    expect(asked).toEqual(['welcome 3 0 2']);
  });
});

describe('probe', () => {
  const probe = (tail: number, gen = 1): OutgoingOp => ({ t: 'probe', conn: 'c1', gen, tail });

  it('asks for what was not written, in this generation or another', () => {
    give(delivered(1, 3), probe(5), probe(3, 2));
    expect(asked).toEqual(['ack 0 again', 'refill from 4: probe', 'refill from 4: probe']);
  });

  it('repeats the ack also where more is to come: lost with a full window, it would keep that back for ever', () => {
    give(delivered(1, 3));
    connection.takeAck(3);
    give(probe(5));
    expect(asked[0]).toBe('ack 3 again');
  });

  it('repeats the ack where all was written', () => {
    give(delivered(1, 3), probe(3), probe(2));
    expect(asked).toEqual(['ack 0 again', 'ack 0 again']);
  });
});

describe('answers to sends', () => {
  const stored: OutgoingOp = {
    t: 'stored',
    conn: 'c1',
    id: 'message-1',
    conversation: 'dm:alice:bob',
    position: 7,
    at: 9,
  };
  const rejected: OutgoingOp = {
    t: 'rejected',
    conn: 'c1',
    id: 'message-2',
    code: 'duplicate_conflict',
    message: 'other',
  };

  it('are written without the address, those of one turn in one write', async () => {
    give(stored, rejected);
    expect(socket.take()).toEqual([]);
    await new Promise(setImmediate);
    expect(socket.take()).toEqual([
      { t: 'stored', id: 'message-1', conversation: 'dm:alice:bob', position: 7, at: 9 },
      { t: 'rejected', id: 'message-2', code: 'duplicate_conflict', message: 'other', retryable: false },
    ]);
  });

  it('wait for `accepted`, which comes first', () => {
    connection.sending = new Map([
      ['message-1', undefined],
      ['message-2', undefined],
    ]);
    give(stored, rejected);
    expect(socket.take()).toEqual([]);
    expect(JSON.parse(connection.sending.get('message-1')!)).toMatchObject({ t: 'stored', position: 7 });
    expect(JSON.parse(connection.sending.get('message-2')!)).toMatchObject({ t: 'rejected' });
  });
});

it('closes when told to', () => {
  give({ t: 'close', conn: 'c1', code: 4003, reason: 'replaced' });
  expect(asked).toEqual(['close 4003 replaced']);
});

it('writes every entry once, in order, whatever is lost, repeated or out of order', () => {
  const hint = fc.record({
    from: fc.integer({ min: 1, max: 40 }),
    length: fc.integer({ min: 0, max: 6 }),
    gap: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(hint, { maxLength: 30 }), fc.boolean(), (hints, acks) => {
      open();
      let last = 0;
      const look = () => {
        writeWaiting(connection, { windowEntries: WINDOW, refill: () => {} }, 0);
        for (const { t, seq, from } of socket.take()) {
          if (t === 'drained') continue;
          expect(t === 'gap' ? from : seq).toBe(last + 1);
          last = seq!;
          if (acks) connection.takeAck(last);
        }
        expect(connection.unacked.length).toBeLessThanOrEqual(WINDOW);
      };
      for (const { from, length, gap: isGap } of hints) {
        const to = Math.min(40, from + length);
        give(isGap ? gap(from, to) : delivered(from, to));
        look();
      }
      const ackAll = () => {
        do {
          if (last > connection.acked) connection.takeAck(last);
          look();
        } while (last > connection.acked || connection.waiting);
        connection.behind = false;
      };
      ackAll();
      for (let refills = 0; connection.expect <= 40; refills++) {
        expect(refills).toBeLessThan(41);
        give(delivered(connection.expect, Math.min(40, connection.expect + 4)), drained(40));
        look();
        ackAll();
      }
      expect(last).toBe(40);
      expect(connection.drained).toBe(true);
    }),
  );
});

it('what is ephemeral is not written before the welcome', () => {
  const presence: OutgoingOp = { t: 'frame', conn: 'c1', frame: { t: 'presence', user: 'bob', online: true } };
  connection.gen = undefined;
  give(presence);
  expect(socket.take()).toEqual([]);
  connection.goTo(1, 0);
  give(presence);
  expect(socket.take()).toMatchObject([{ t: 'presence', user: 'bob' }]);
});
