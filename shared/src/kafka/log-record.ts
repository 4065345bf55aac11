import type { KafkaMessage } from 'kafkajs';

export type LogRecord = {
  offset: number;
  key: string | null;
  value: Buffer | null;
  timestamp: number;
  headers: Record<string, string>;
};

/** `signal` aborts when the partition is no longer this worker's: what is not done by then, its next owner does again. */
export type LogBatch = { topic: string; partition: number; records: LogRecord[]; signal: AbortSignal };

/**
 * Resolves when the batch is enqueued, which lets the next one begin; `durable` when nothing of it can be lost any more,
 * which lets its offsets be committed. Either may reject: the same batch is handled again.
 */
export type BatchHandler = (batch: LogBatch) => Promise<{ durable: Promise<void> }>;

const NO_HEADERS: Record<string, string> = Object.freeze({});
/** What a record weighs here beside its key and value. */
const RECORD_OVERHEAD_BYTES = 100;

export function logRecord(message: KafkaMessage): LogRecord {
  return {
    offset: Number(message.offset),
    key: message.key === null ? null : message.key.toString('utf8'),
    value: message.value,
    timestamp: Number(message.timestamp),
    headers: headersOf(message),
  };
}

export function recordBytes(record: LogRecord): number {
  return (record.value?.length ?? 0) + (record.key?.length ?? 0) + RECORD_OVERHEAD_BYTES;
}

/** A header that is there twice keeps its last value. */
function headersOf({ headers }: KafkaMessage): Record<string, string> {
  if (headers === undefined) return NO_HEADERS;
  let found: Record<string, string> | undefined;
  for (const name in headers) {
    const value = headers[name];
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last === undefined) continue;
    found ??= {};
    found[name] = last.toString('utf8');
  }
  return found ?? NO_HEADERS;
}
