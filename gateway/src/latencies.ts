import type { EntryText } from '@restante/shared/contract/entry';
import type { OutgoingRecord } from '@restante/shared/contract/events';
import type { Connection } from './connection.ts';
import { metrics } from './events.ts';

const STORED_AT = '"storedAt":';
const EPOCH_MS_DIGITS = 13;

/**
 * Times the way of a message from the log to a socket, by one entry a record of `outgoing_messages`: enough for percentiles, at a cost that does
 * not grow with the entries. Only on connections that are live: what waited for its device is late by no fault of ours.
 */
export function timeDelivery(
  { ops, entries }: OutgoingRecord,
  connections: ReadonlyMap<string, Connection>,
  nowMs: number,
): void {
  for (const op of ops) {
    if (op.t !== 'deliver') continue;
    const connection = connections.get(op.conn);
    const seq = op.q + op.e.length - 1;
    const entry = entries[op.e.at(-1) ?? -1];
    if (!connection?.drained || op.r >= op.q || connection.expect !== seq + 1 || entry === undefined) return;
    const storedAtMs = storedAt(entry);
    if (storedAtMs === undefined) return;
    metrics.deliverSeconds.observe(Math.max(0, nowMs - storedAtMs) / 1000);
    if (connection.timedSeq > 0) return;
    connection.timedSeq = seq;
    connection.timedAtMs = nowMs;
    return;
  }
}

/** After an ack: whether it covers the entry that is timed. */
export function timeAck(connection: Connection, nowMs: number): void {
  if (connection.timedSeq === 0 || connection.acked < connection.timedSeq) return;
  metrics.ackSeconds.observe(Math.max(0, nowMs - connection.timedAtMs) / 1000);
  connection.timedSeq = 0;
}

/** Read from the text, as the rest of an entry is not parsed. A body can't fake it: there its quotes are escaped. */
function storedAt(entry: EntryText): number | undefined {
  const at = entry.indexOf(STORED_AT);
  if (at < 0) return undefined;
  const ms = Number(entry.slice(at + STORED_AT.length, at + STORED_AT.length + EPOCH_MS_DIGITS));
  return Number.isFinite(ms) ? ms : undefined;
}
