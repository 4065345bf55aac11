import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  decodeDeadLetter,
  decodeIncoming,
  decodeOutgoing,
  decodeUserEvent,
  encodeOutgoing,
  type OutgoingRecord,
} from './events.ts';

vi.setConfig({ testTimeout: 60_000 });

const decoders = { decodeIncoming, decodeUserEvent, decodeDeadLetter };
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

describe.each(Object.entries(decoders))('%s', (_, decode) => {
  const never = (value: Buffer | null) => {
    const decoded = decode(value);
    if (!decoded.ok) expect(decoded.reason.length).toBeGreaterThan(0);
  };

  it('never throws, whatever the bytes', () => {
    never(null);
    never(Buffer.alloc(0));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (data) => never(Buffer.from(data))));
    fc.assert(fc.property(fc.json(), (text) => never(Buffer.from(text))));
    const t = fc.constantFrom('send', 'delete', 'user_connected', 'acked', 'refill', 'nacked', '__proto__');
    fc.assert(fc.property(t, fc.jsonValue(), (type, value) => never(bytes({ ...(value as object), t: type }))));
    never(Buffer.from(`{"t":${'['.repeat(100_000)}${']'.repeat(100_000)}}`));
  });

  it('says why', () => {
    expect(decode(null)).toEqual({ ok: false, reason: 'the record has no value' });
    // Never what is in it.
    expect(decode(Buffer.from('a body'))).toEqual({ ok: false, reason: 'not JSON (6 bytes)' });
    expect(decode(Buffer.from([0xff, 0xfe]))).toMatchObject({ ok: false });
    expect(decode(bytes(null))).toMatchObject({ ok: false });
  });
});

describe('commands and events', () => {
  const send = { t: 'send', from: 'bob', conversation: 'dm:alice:bob', id: 'message-1', body: 'x', at: 1 };

  it('come out as they went in', () => {
    const ret = { conn: 'c', slot: 0 };
    expect(decodeIncoming(bytes({ ...send, ret }))).toEqual({ ok: true, value: { ...send, ret } });
    const acked = { t: 'acked', user: 'bob', device: 'd', conn: 'c', slot: 1, gen: 2 ** 52, seq: 3, position: 2 ** 50 };
    expect(decodeUserEvent(bytes(acked))).toEqual({ ok: true, value: acked });
  });

  it('name the field that is wrong', () => {
    expect(decodeIncoming(bytes({ ...send, conversation: 'dm:bob:alice' }))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^conversation: /),
    });
    expect(decodeIncoming(bytes({ ...send, t: 'unknown' }))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^t: /),
    });
    expect(decodeUserEvent(bytes({ t: 'rebuild_requested' }))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^user: /),
    });
  });
});

describe('an outgoing record', () => {
  const entry = fc.json().map((text) => JSON.stringify({ t: 'message', body: text }));
  const op = fc.record({
    t: fc.constant('deliver' as const),
    conn: fc.string(),
    gen: fc.nat(),
    q: fc.nat(),
    e: fc.array(fc.nat()),
    r: fc.nat(),
  });

  it('comes out as it went in, entries byte for byte', () => {
    fc.assert(
      fc.property(fc.array(op), fc.array(entry), (ops, entries) => {
        const record: OutgoingRecord = { ops, entries };
        expect(decodeOutgoing(encodeOutgoing(record))).toEqual(record);
      }),
    );
  });

  it('is refused where it is none', () => {
    for (const text of ['', 'garbage', '{}', 'null', '"x"\n{}']) expect(() => decodeOutgoing(text)).toThrow(/./);
  });
});
