import type { EntryText } from '../contract/entry.ts';
import { encodeOutgoing, type OutgoingOp, type OutgoingRecord } from '../contract/events.ts';

/** A record stays well below MAX_RECORD_BYTES: what comes beyond this begins the next one. Bytes are of UTF-8. */
const RECORD_BYTES = 256 * 1024;
/** What an op is reckoned as: with the longest conversation and message id there are, without the indexes of its entries. */
const OP_BYTES = 600;
/** An index of an entry in a record, and its comma. */
const INDEX_BYTES = 6;

type Open = { record: OutgoingRecord; indexes: Map<EntryText, number>; bytes: number };

/** A run of entries for one connection, in place of a page or a batch. `high`: up to there they may have been sent before. */
export type Delivery = { conn: string; gen: number; firstSeq: number; entries: readonly EntryText[]; high: number };

/**
 * Gathers what goes to gateways and cuts it into records, a partition (slot) each. An entry that goes to many connections of
 * one gateway is in the record once: a fan-out costs a record a gateway, however many members.
 */
export class OutgoingBatch {
  readonly #open = new Map<number, Open>();
  readonly #full: { slot: number; record: OutgoingRecord }[] = [];

  add(slot: number, op: OutgoingOp): void {
    this.#room(slot, OP_BYTES).record.ops.push(op);
  }

  gap(slot: number, conn: string, gen: number, gap: { from: number; to: number; entry: EntryText }): void {
    const open = this.#room(slot, OP_BYTES + Buffer.byteLength(gap.entry));
    open.record.ops.push({ t: 'gap', conn, gen, from: gap.from, q: gap.to, e: this.#index(open, gap.entry) });
  }

  deliver(slot: number, { conn, gen, firstSeq, entries, high }: Delivery): void {
    let seq = firstSeq;
    let at = 0;
    while (at < entries.length) {
      const open = this.#room(slot, OP_BYTES + Buffer.byteLength(entries[at]!));
      const e: number[] = [];
      while (at < entries.length && (e.length === 0 || open.bytes < RECORD_BYTES))
        e.push(this.#index(open, entries[at++]!));
      open.record.ops.push({ t: 'deliver', conn, gen, q: seq, e, r: high });
      seq += e.length;
    }
  }

  /** The records, in the order in which they must be written to each partition. */
  records(): { slot: number; value: string }[] {
    const all = [...this.#full];
    for (const [slot, { record }] of this.#open) all.push({ slot, record });
    return all.map(({ slot, record }) => ({ slot, value: encodeOutgoing(record) }));
  }

  /** As `records`, and they are gone: what is gathered next comes after them. */
  take(): { slot: number; value: string }[] {
    const all = this.records();
    this.#full.length = 0;
    this.#open.clear();
    return all;
  }

  #room(slot: number, bytes: number): Open {
    let open = this.#open.get(slot);
    if (open && open.bytes + bytes > RECORD_BYTES && open.record.ops.length > 0) {
      this.#full.push({ slot, record: open.record });
      open = undefined;
    }
    if (!open) {
      open = { record: { ops: [], entries: [] }, indexes: new Map(), bytes: 0 };
      this.#open.set(slot, open);
    }
    open.bytes += OP_BYTES;
    return open;
  }

  #index(open: Open, entry: EntryText): number {
    open.bytes += INDEX_BYTES;
    const known = open.indexes.get(entry);
    if (known !== undefined) return known;
    const index = open.record.entries.push(entry) - 1;
    open.indexes.set(entry, index);
    open.bytes += Buffer.byteLength(entry);
    return index;
  }
}
