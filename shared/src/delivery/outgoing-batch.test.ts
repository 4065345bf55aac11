import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { gapEntry } from '../contract/entry.ts';
import { decodeOutgoing, MAX_RECORD_BYTES, type OutgoingOp } from '../contract/events.ts';
import { OutgoingBatch } from './outgoing-batch.ts';

vi.setConfig({ testTimeout: 60_000 });

const drained = (conn: string, seq = 1): OutgoingOp => ({ t: 'drained', conn, gen: 1, seq });
const delivery = (conn: string, firstSeq: number, entries: string[]) => ({ conn, gen: 1, firstSeq, entries, high: 0 });
const decoded = (batch: OutgoingBatch) =>
  batch.records().map(({ slot, value }) => ({ slot, ...decodeOutgoing(value) }));
/** What each connection is given, in order: [seq, entry] of what is delivered. */
function given(batch: OutgoingBatch): Map<string, [number, string][]> {
  const all = new Map<string, [number, string][]>();
  for (const { ops, entries } of decoded(batch)) {
    for (const op of ops) {
      if (op.t !== 'deliver') continue;
      const got = all.get(op.conn) ?? [];
      got.push(...op.e.map((index, i): [number, string] => [op.q + i, entries[index]!]));
      all.set(op.conn, got);
    }
  }
  return all;
}

describe('records', () => {
  it('are none where nothing was put in', () => {
    const batch = new OutgoingBatch();
    batch.deliver(1, delivery('c', 1, []));
    expect(batch.records()).toEqual([]);
  });

  it('are one a slot, with the ops in their order', () => {
    const batch = new OutgoingBatch();
    batch.add(2, drained('b'));
    batch.add(1, drained('a', 1));
    batch.gap(1, 'a', 1, { from: 2, to: 3, entry: gapEntry(2, 3, 'overflow', []) });
    batch.deliver(1, delivery('a', 4, ['x', 'y']));
    batch.add(1, drained('a', 5));
    const records = decoded(batch).sort((a, b) => a.slot - b.slot);
    expect(records.map(({ slot, ops }) => [slot, ops.map(({ t }) => t)])).toEqual([
      [1, ['drained', 'gap', 'deliver', 'drained']],
      [2, ['drained']],
    ]);
    expect(records[0]!.ops[1]).toEqual({ t: 'gap', conn: 'a', gen: 1, from: 2, q: 3, e: 0 });
  });

  it('hold an entry once, however many connections of the gateway it goes to', () => {
    const batch = new OutgoingBatch();
    const entry = 'x'.repeat(10_000);
    for (let i = 0; i < 50; i++) batch.deliver(1, delivery(`c${i}`, 1, [entry, 'other']));
    expect(decoded(batch).map(({ entries }) => entries)).toEqual([[entry, 'other']]);
    expect(given(batch).size).toBe(50);
  });
});

it('what was taken is gone, and what comes then follows it', () => {
  const batch = new OutgoingBatch();
  batch.deliver(1, delivery('a', 1, ['x']));
  const taken = batch.take().map(({ value }) => decodeOutgoing(value).entries);
  batch.deliver(1, delivery('a', 2, ['x', 'y']));
  expect([taken, batch.take().map(({ value }) => decodeOutgoing(value).entries)]).toEqual([[['x']], [['x', 'y']]]);
  expect(batch.records()).toEqual([]);
});

describe('the bound of a record', () => {
  const bounded = (batch: OutgoingBatch) => {
    for (const { value } of batch.records()) expect(Buffer.byteLength(value)).toBeLessThan(MAX_RECORD_BYTES);
  };

  it('holds for text that is longer in UTF-8 than in characters', () => {
    const batch = new OutgoingBatch();
    for (let i = 0; i < 100; i++) batch.deliver(1, delivery(`c${i}`, 1, [`${i} ${'€'.repeat(10_000)}`]));
    bounded(batch);
    expect(given(batch).size).toBe(100);
  });

  it('holds where one page goes to the thousand members of a group', () => {
    const batch = new OutgoingBatch();
    const page = Array.from({ length: 256 }, (_, i) => `entry ${i}`);
    for (let i = 0; i < 1000; i++) batch.deliver(1, delivery(`connection-${i}`, 1, page));
    bounded(batch);
    expect(given(batch).get('connection-999')).toHaveLength(256);
  });

  it('holds for answers with the longest ids there are', () => {
    const batch = new OutgoingBatch();
    const conversation = `dm:${'a'.repeat(128)}:${'b'.repeat(128)}`;
    for (let i = 0; i < 5000; i++) {
      const id = 'x'.repeat(64);
      batch.add(1, {
        t: 'stored',
        conn: 'c'.repeat(12),
        id,
        conversation,
        position: Number.MAX_SAFE_INTEGER,
        at: 1e13,
      });
    }
    bounded(batch);
  });

  it('holds for gaps that name a hundred conversations', () => {
    const batch = new OutgoingBatch();
    const conversations = Array.from({ length: 100 }, (_, i) => `dm:${i}${'a'.repeat(120)}:${'b'.repeat(128)}`);
    for (let i = 0; i < 30; i++)
      batch.gap(1, `c${i}`, 1, { from: 1, to: 9, entry: gapEntry(1, 9 + i, 'overflow', conversations) });
    bounded(batch);
  });
});

it('splits and shares as it may, but gives every connection its entries in order, none twice', () => {
  const text = fc
    .tuple(fc.nat({ max: 9 }), fc.integer({ min: 0, max: 60_000 }))
    .map(([n, length]) => `${n}${'é'.repeat(length)}`);
  const run = fc.record({
    slot: fc.nat({ max: 1 }),
    conn: fc.nat({ max: 2 }),
    entries: fc.array(text, { maxLength: 12 }),
  });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 8 }), (runs) => {
      const batch = new OutgoingBatch();
      const expected = new Map<string, [number, string][]>();
      for (const { slot, conn, entries } of runs) {
        // A connection is on one slot.
        const name = `${slot}/${conn}`;
        const all = expected.get(name) ?? [];
        batch.deliver(slot, delivery(name, all.length + 1, entries));
        all.push(...entries.map((entry, i): [number, string] => [all.length + 1 + i, entry]));
        if (entries.length > 0) expected.set(name, all);
      }
      expect(given(batch)).toEqual(expected);
      for (const { slot, ops } of decoded(batch))
        for (const { conn } of ops) expect(conn.startsWith(`${slot}/`)).toBe(true);
      for (const { value } of batch.records()) expect(Buffer.byteLength(value)).toBeLessThan(MAX_RECORD_BYTES);
    }),
    { numRuns: 50 },
  );
});
