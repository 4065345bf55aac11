import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  type ClientFrame,
  MAX_BODY_BYTES,
  MAX_FRAME_BYTES,
  MAX_TTL_SECONDS,
  parseClientFrame,
  utf8Bytes,
} from './client-frames.ts';

/** Properties take their time on a machine that is busy otherwise. */
vi.setConfig({ testTimeout: 60_000 });

/** Any string, lone surrogates and all planes included. */
const anyText = fc.string({ unit: fc.nat({ max: 0xffff }).map((unit) => String.fromCharCode(unit)), maxLength: 200 });
const send = { t: 'send', id: 'message-1', to: 'bob', body: 'hello' };
const parse = (value: unknown) => parseClientFrame(JSON.stringify(value));
const refusal = (value: unknown) => {
  const parsed = parse(value);
  return parsed.ok ? 'taken' : `${parsed.code}: ${parsed.message}`;
};

describe('utf8Bytes', () => {
  it('counts what the text is in UTF-8, lone surrogates as what replaces them', () => {
    const same = (text: string) => utf8Bytes(text) === Buffer.byteLength(text);
    fc.assert(fc.property(anyText, same), { numRuns: 300 });
    fc.assert(fc.property(fc.string({ unit: 'binary' }), same));
  });

  it.each([
    '',
    'a',
    'é',
    '€',
    '😀',
    '\ud83d',
    '\ude00',
    '\ude00\ud83d',
    'a\ud83d',
    '\ud83d\ud83d\ude00',
    '\u07ff\u0800\uffff',
  ])('%j', (text) => expect(utf8Bytes(text)).toBe(Buffer.byteLength(text)));
});

describe('a frame that is taken', () => {
  const frames: ClientFrame[] = [
    { t: 'send', id: 'message-1', to: 'bob', body: 'hello' },
    {
      t: 'send',
      id: 'x'.repeat(64),
      conversation: 'grp:team',
      body: '',
      kind: 'image',
      replyTo: 'message-0',
      attachments: [{ url: 'https://files.test/a', contentType: 'image/png', bytes: 0, name: 'a.png' }],
      ttlSeconds: MAX_TTL_SECONDS,
      urgent: false,
    },
    { t: 'ack', seq: 0, gen: 2 ** 52 },
    { t: 'nack', seq: 1, gen: 1, reason: '' },
    { t: 'read', conversation: 'dm:alice:bob', position: 2 ** 40 },
    { t: 'typing', conversation: 'dm:bob:bob', on: true },
    { t: 'delete', id: 'deletion-1', conversation: 'dm:alice:bob', position: 7 },
    { t: 'watch', users: [] },
    { t: 'ping' },
    { t: 'ping', n: -1.5 },
  ];
  it.each(frames)('%j', (frame) => {
    expect(parse(frame)).toEqual({ ok: true, frame });
    // Unknown fields are ignored, and go no further.
    expect(parse({ ...frame, unknown: { nested: [1] } })).toEqual({ ok: true, frame });
  });

  it('keeps every string as it is', () => {
    fc.assert(
      fc.property(anyText, (body) => {
        expect(parse({ ...send, body })).toEqual({ ok: true, frame: { ...send, body } });
      }),
    );
  });
});

describe('a frame that is not', () => {
  it.each([
    ['', 'not JSON'],
    ['{', 'not JSON'],
    ['\u0000', 'not JSON'],
    ['null', 'not a JSON object'],
    ['[]', 'not a JSON object'],
    ['"send"', 'not a JSON object'],
    ['{}', 'unknown frame type undefined'],
    ['{"t":null}', 'unknown frame type object'],
    ['{"t":["send"]}', 'unknown frame type object'],
    ['{"t":"SEND"}', 'unknown frame type "SEND"'],
    ['{"t":"__proto__"}', 'unknown frame type "__proto__"'],
    ['{"t":"constructor"}', 'unknown frame type "constructor"'],
    ['{"t":"toString"}', 'unknown frame type "toString"'],
  ])('%j is a bad frame', (text, message) => {
    expect(parseClientFrame(text)).toEqual({ ok: false, code: 'bad_frame', message: expect.stringContaining(message) });
  });

  it.each<[string, object]>([
    ['to', { t: 'send', id: 'message-1', body: '' }],
    ['to', { ...send, conversation: 'dm:alice:bob' }],
    ['to', { ...send, to: 'bob:eve' }],
    ['to', { ...send, to: '' }],
    ['to', { ...send, to: 'x'.repeat(129) }],
    ['to', { ...send, to: 'bob\n' }],
    ['id', { ...send, id: 'short' }],
    ['id', { ...send, id: 'x'.repeat(65) }],
    ['id', { ...send, id: 'message-\u00e9' }],
    ['id', { ...send, id: 12_345_678 }],
    ['body', { ...send, body: null }],
    ['body', { ...send, body: undefined }],
    ['kind', { ...send, kind: '' }],
    ['kind', { ...send, kind: 'x'.repeat(33) }],
    ['kind', { ...send, kind: 'text\n' }],
    ['replyTo', { ...send, replyTo: 'no id' }],
    ['attachments', { ...send, attachments: Array(11).fill({ url: 'https://a.test', contentType: 'a/b', bytes: 1 }) }],
    ['attachments.0.url', { ...send, attachments: [{ url: 'a file', contentType: 'a/b', bytes: 1 }] }],
    ['attachments.0.bytes', { ...send, attachments: [{ url: 'https://a.test', contentType: 'a/b', bytes: -1 }] }],
    ['ttlSeconds', { ...send, ttlSeconds: 0 }],
    ['ttlSeconds', { ...send, ttlSeconds: 1.5 }],
    ['ttlSeconds', { ...send, ttlSeconds: MAX_TTL_SECONDS + 1 }],
    ['urgent', { ...send, urgent: 'true' }],
    ['seq', { t: 'ack', seq: -1, gen: 1 }],
    ['seq', { t: 'ack', seq: '1', gen: 1 }],
    ['seq', { t: 'ack', seq: 2 ** 53, gen: 1 }],
    ['gen', { t: 'ack', seq: 1 }],
    ['reason', { t: 'nack', seq: 1, gen: 1, reason: 'x'.repeat(501) }],
    ['conversation', { t: 'read', conversation: 'dm:bob:alice', position: 1 }],
    ['conversation', { t: 'typing', conversation: 'grp:', on: true }],
    ['on', { t: 'typing', conversation: 'grp:a', on: 1 }],
    ['users', { t: 'watch', users: Array(201).fill('bob') }],
    ['users.1', { t: 'watch', users: ['bob', 'no user'] }],
    ['n', { t: 'ping', n: null }],
  ])('names the bad field: %s', (field, frame) => {
    expect(refusal(frame)).toMatch(new RegExp(`^bad_field: (.*; )?${field}: `));
  });

  it('takes a body to its last byte, and says too_large beyond', () => {
    expect(refusal({ ...send, body: '€'.repeat(Math.floor(MAX_BODY_BYTES / 3)) })).toBe('taken');
    expect(refusal({ ...send, body: 'x'.repeat(MAX_BODY_BYTES) })).toBe('taken');
    expect(refusal({ ...send, body: 'x'.repeat(MAX_BODY_BYTES + 1) })).toMatch(/^too_large: body: over/);
    expect(refusal({ ...send, body: '€'.repeat(Math.ceil(MAX_BODY_BYTES / 3)) })).toMatch(/^too_large/);
  });

  it('gives the id of a bad send or delete, so that it is answered as rejected, and only an id', () => {
    expect(parse({ ...send, body: 1 })).toMatchObject({ id: 'message-1' });
    expect(parse({ t: 'delete', id: 'deletion-1' })).toMatchObject({ id: 'deletion-1' });
    for (const frame of [
      { ...send, id: 'bad id', body: 1 },
      { ...send, id: {} },
      { t: 'read', id: 'message-1' },
    ]) {
      expect(parse(frame)).not.toHaveProperty('id');
    }
  });

  it('is never longer in the answer than a line', () => {
    const long = 'x'.repeat(60_000);
    for (const frame of [
      { t: long },
      { t: 'watch', users: Array(200).fill(long) },
      { ...send, kind: long, replyTo: long },
    ]) {
      expect(refusal(frame).length).toBeLessThan(400);
    }
  });
});

describe('whatever comes', () => {
  const never = (text: string) => {
    const parsed = parseClientFrame(text);
    expect(typeof (parsed.ok ? parsed.frame.t : parsed.message)).toBe('string');
  };

  it('never throws', () => {
    fc.assert(fc.property(anyText, never), { numRuns: 200 });
    fc.assert(fc.property(fc.json({ maxDepth: 5 }), never));
    const key = fc.constantFrom('t', 'id', 'to', 'conversation', 'body', 'kind', 'attachments', 'seq', 'gen', 'users');
    const value = fc.oneof(fc.constantFrom('send', 'ack', 'watch', 'delete', 'ping'), fc.jsonValue(), anyText);
    fc.assert(
      fc.property(fc.dictionary(key, value), (frame) => never(JSON.stringify(frame))),
      { numRuns: 300 },
    );
  });

  it.each(['[', '{"a":'])('never throws on %s as deep as a frame is long', (open) => {
    const depth = Math.floor(MAX_FRAME_BYTES / (open.length + 1)) - 20;
    const nested = `${open.repeat(depth)}1${(open === '[' ? ']' : '}').repeat(depth)}`;
    for (const text of [
      nested,
      `{"t":${nested}}`,
      `{"t":"send","body":${nested}}`,
      `{"t":"ping","n":1,"x":${nested}}`,
    ]) {
      never(text);
    }
  });
});
