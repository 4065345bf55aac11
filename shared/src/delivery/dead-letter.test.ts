import { describe, expect, it } from 'vitest';
import { decodeDeadLetter, MAX_RECORD_BYTES } from '../contract/events.ts';
import { recordLetter } from './dead-letter.ts';

const letterOf = (value: Buffer | null, key: string | null = 'key') =>
  recordLetter('incoming_messages', 3, { offset: 7, key, value, timestamp: 1, headers: {} }, 'not JSON', 9);

describe('the letter of a record', () => {
  it('says what it was, where it was, and why it is here', () => {
    expect(letterOf(Buffer.from([0xff, 0]))).toEqual({
      source: 'incoming_messages/3/7',
      reason: 'not JSON',
      at: 9,
      topic: 'incoming_messages',
      partition: 3,
      offset: '7',
      key: 'key',
      valueBase64: '/wA=',
    });
    expect(letterOf(null, null)).toMatchObject({ key: null, valueBase64: null, reason: 'not JSON' });
  });

  it('is one that Kafka takes, however large the record', () => {
    for (const bytes of [0, 1000, MAX_RECORD_BYTES / 2, MAX_RECORD_BYTES / 2 + 1, 4 * MAX_RECORD_BYTES]) {
      const letter = letterOf(Buffer.alloc(bytes, 0xff), 'k'.repeat(100_000));
      const text = JSON.stringify(letter);
      expect(Buffer.byteLength(text)).toBeLessThan(MAX_RECORD_BYTES);
      expect(decodeDeadLetter(Buffer.from(text))).toEqual({ ok: true, value: letter });
    }
  });

  it('leaves a value that is too large where it is, and says so', () => {
    expect(letterOf(Buffer.alloc(300_000))).toMatchObject({
      valueBase64: null,
      reason: 'not JSON (its 300000 bytes are in the log alone)',
    });
  });
});
