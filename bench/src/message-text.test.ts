import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { MESSAGE_BYTES, messageText, type Padding } from './message-text.ts';

const make = (padding: Padding, nth: number) => messageText({ run: 'r', to: 'u1', seq: nth, nth, padding });

test.each(['random', 'natural'] as const)('%s: JSON of the same size every time', (padding) => {
  for (const nth of [0, 1, 999, 123_456]) {
    const text = make(padding, nth);
    expect(Buffer.byteLength(text)).toBe(MESSAGE_BYTES);
    expect(JSON.parse(text)).toMatchObject({ id: `r-u1-${nth}`, to: 'u1', seq: nth });
  }
});

test('random text does not compress, natural text does as text does', () => {
  const ratio = (padding: Padding) => {
    const text = Array.from({ length: 27 }, (_, nth) => (JSON.parse(make(padding, nth)) as { pad: string }).pad).join(
      '',
    );
    return deflateRawSync(text).length / text.length;
  };
  expect(ratio('random')).toBeGreaterThan(0.7);
  expect(ratio('natural')).toBeLessThan(0.5);
  expect(ratio('natural')).toBeGreaterThan(0.25);
});
