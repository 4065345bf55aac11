import { type DeadLetter, MAX_RECORD_BYTES } from '../contract/events.ts';
import type { LogRecord } from '../kafka/log-record.ts';

/** Beyond this a value is not copied: base64 makes it a third longer, and Kafka would refuse the letter for good, which would block the log. */
const MAX_VALUE_BYTES = Math.floor(MAX_RECORD_BYTES / 2);
const MAX_KEY_LENGTH = 1_000;

/** The letter of a record that can't be processed. A value too large to be copied is still where it was. */
export function recordLetter(
  topic: string,
  partition: number,
  { offset, key, value }: LogRecord,
  reason: string,
  nowMs: number,
): DeadLetter {
  const copied = value === null || value.length <= MAX_VALUE_BYTES;
  return {
    source: `${topic}/${partition}/${offset}`,
    reason: copied ? reason : `${reason} (its ${value.length} bytes are in the log alone)`,
    at: nowMs,
    topic,
    partition,
    offset: String(offset),
    key: key?.slice(0, MAX_KEY_LENGTH) ?? null,
    valueBase64: copied ? (value?.toString('base64') ?? null) : null,
  };
}
