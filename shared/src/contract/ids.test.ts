import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  conversationSchema,
  deviceSchema,
  directConversation,
  MAX_EPOCH,
  messageIdSchema,
  offsetOf,
  parseConversation,
  positionOf,
  userSchema,
} from './ids.ts';

vi.setConfig({ testTimeout: 60_000 });

const letters = (alphabet: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });
const WORD = 'ABCXYZabcxyz0189_-';
const user = letters(`${WORD}.@`, 1, 128);

describe('directConversation', () => {
  it('is the same from both sides, and taken apart gives both', () => {
    fc.assert(
      fc.property(user, user, (a, b) => {
        const conversation = directConversation(a, b);
        expect(directConversation(b, a)).toBe(conversation);
        const parts = parseConversation(conversation);
        expect(parts).toEqual({ kind: 'dm', members: a <= b ? [a, b] : [b, a] });
      }),
    );
  });

  it('sorts by code unit, not by locale', () => {
    expect(directConversation('a', 'B')).toBe('dm:B:a');
    expect(directConversation('_', 'Z')).toBe('dm:Z:_');
  });
});

describe('parseConversation', () => {
  it.each([
    '',
    'dm',
    'dm:',
    'dm::',
    'dm:a',
    'dm:a:',
    'dm::a',
    'dm:b:a',
    'dm:a:b:c',
    'dm:a:b ',
    ' dm:a:b',
    'dm:a:b\n',
    'DM:a:b',
    'dm:a:é',
    `dm:a:${'b'.repeat(129)}`,
    'grp:',
    'grp:a:b',
    'grp:a.b',
    'grp:a\n',
    `grp:${'x'.repeat(65)}`,
    'constructor',
  ])('refuses %j', (text) => {
    expect(parseConversation(text)).toBeUndefined();
    expect(conversationSchema.safeParse(text).success).toBe(false);
  });

  it('takes what is canonical, and never throws', () => {
    expect(parseConversation('grp:team_1-x')).toEqual({ kind: 'group', id: 'team_1-x' });
    expect(parseConversation('dm:a:a')).toEqual({ kind: 'dm', members: ['a', 'a'] });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `dm:${text}`),
        ),
        (text) => {
          const parts = parseConversation(text);
          if (parts?.kind === 'dm') expect(directConversation(...parts.members)).toBe(text);
        },
      ),
    );
  });
});

describe('patterns', () => {
  it.each([
    [userSchema, ['a', 'a@b.c', 'x'.repeat(128)], ['', 'a b', 'a:b', 'a{b}', 'é', 'a\n', 'x'.repeat(129)]],
    [deviceSchema, ['d', 'x'.repeat(64)], ['', 'a.b', 'a,b', 'a;b', 'a#b', 'a\n', 'x'.repeat(65)]],
    [
      messageIdSchema,
      ['12345678', 'x'.repeat(64)],
      ['1234567', 'message 1', 'message:1', '12345678\n', 'x'.repeat(65)],
    ],
  ])('%#: what keys and scripts rely on', (schema, taken, refused) => {
    for (const text of taken) expect(schema.safeParse(text).success, text).toBe(true);
    for (const text of refused) expect(schema.safeParse(text).success, JSON.stringify(text)).toBe(false);
  });
});

describe('positions', () => {
  const epoch = fc.integer({ min: 1, max: MAX_EPOCH });
  const offset = fc.integer({ min: 0, max: 2 ** 40 - 1 });

  it('are exact, in the order of epoch and offset, and give the offset back', () => {
    fc.assert(
      fc.property(epoch, offset, epoch, offset, (e1, o1, e2, o2) => {
        const [a, b] = [positionOf(e1, o1), positionOf(e2, o2)];
        expect(Number.isSafeInteger(a)).toBe(true);
        expect(Math.sign(a - b)).toBe(Math.sign(e1 - e2 || o1 - o2));
        expect(offsetOf(a)).toBe(o1);
        expect(Number(JSON.parse(JSON.stringify(a)))).toBe(a);
      }),
    );
    expect(positionOf(MAX_EPOCH, 2 ** 40 - 1)).toBe(Number.MAX_SAFE_INTEGER);
  });

  it.each([
    [0, 0],
    [-1, 0],
    [1.5, 0],
    [MAX_EPOCH + 1, 0],
    [Number.NaN, 0],
    [1, -1],
    [1, 0.5],
    [1, 2 ** 40],
    [1, Number.NaN],
  ])('refuses epoch %s, offset %s: a wrong position would reorder a conversation', (e, o) => {
    expect(() => positionOf(e, o)).toThrow(RangeError);
  });
});
