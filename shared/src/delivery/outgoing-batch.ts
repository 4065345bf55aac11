import type { EntryText } from '../contract/entry.ts';
import { encodeOutgoing, type OutgoingOp, type OutgoingRecord } from '../contract/events.ts';

/** A record stays well below MAX_RECORD_BYTES: what comes beyond this begins the next one. */
const RECORD_BYTES = 256 * 1024;
/** Ops are small; this is what one is reckoned as. */
const OP_BYTES = 120;

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
    const open = this.#room(slot, OP_BYTES + gap.entry.length);
    open.record.ops.push({ t: 'gap', conn, gen, from: gap.from, q: gap.to, e: this.#index(open, gap.entry) });
  }

  deliver(slot: number, { conn, gen, firstSeq, entries, high }: Delivery): void {
    let seq = firstSeq;
    let at = 0;
    while (at < entries.length) {
      const open = this.#room(slot, OP_BYTES + entries[at]!.length);
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
    const known = open.indexes.get(entry);
    if (known !== undefined) return known;
    const index = open.record.entries.push(entry) - 1;
    open.indexes.set(entry, index);
    open.bytes += entry.length;
    return index;
  }
}
