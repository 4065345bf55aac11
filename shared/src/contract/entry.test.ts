import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { entryFrame, entryPlace, entryPosition, gapEntry, messageEntry, ownCopy } from './entry.ts';
import type { SendCommand } from './events.ts';

vi.setConfig({ testTimeout: 60_000 });

const command: SendCommand = {
  t: 'send',
  from: 'bob',
  conversation: 'dm:alice:bob',
  id: 'message-1',
  body: 'hello',
  at: 1_700_000_000_000,
  ret: { conn: 'c1', slot: 3 },
};
const position = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
/** What a body may hold that could pass for something else where it is not parsed. */
const trap = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '"position":7,',
    '"}',
    '","self":true}',
    '\n',
    '\r\n{"t":"gap"}',
    '\u2028',
    '\ud83d',
    '{"t":"message","position":1',
  ),
);

describe('an entry', () => {
  it('says at its head where it stands; a gap stands nowhere', () => {
    fc.assert(
      fc.property(position, trap, (at, body) => {
        const place = entryPlace(messageEntry({ ...command, body }, at, 34));
        expect(place).toEqual({ conversation: command.conversation, position: at });
      }),
    );
    expect(entryPlace(gapEntry(1, 2, 'expired', [command.conversation]))).toBeUndefined();
  });

  it('is the frame without seq, gen and replayed, with where it stands at its head', () => {
    const entry = messageEntry(
      { ...command, kind: 'image', replyTo: 'message-0', ttlSeconds: 60, urgent: false },
      12,
      34,
    );
    expect(JSON.parse(entry)).toEqual({
      t: 'message',
      position: 12,
      conversation: 'dm:alice:bob',
      id: 'message-1',
      from: 'bob',
      kind: 'image',
      sentAt: command.at,
      storedAt: 34,
      replyTo: 'message-0',
      ttlSeconds: 60,
      urgent: false,
      body: 'hello',
    });
    expect(
      entry.startsWith('{"t":"message","position":12,"conversation":"dm:alice:bob","id":"message-1","from":"bob"'),
    ).toBe(true);
    expect(JSON.parse(messageEntry(command, 12, 34))).toMatchObject({ kind: 'text' });
    expect(messageEntry(command, 12, 34)).not.toMatch(/replyTo|ttl|urgent|attachments|ret|conn/);
  });

  it('is one line of text whatever its body, and every frame made of it gives the body back', () => {
    fc.assert(
      fc.property(trap, position, fc.nat(), fc.boolean(), (body, at, seq, replayed) => {
        const entry = messageEntry({ ...command, body }, at, 1);
        expect(entry).not.toMatch(/[\r\n]/);
        expect(entryPosition(entry)).toBe(at);
        const own = ownCopy(entry);
        expect(entryPosition(own)).toBe(at);
        expect(JSON.parse(own)).toEqual({ ...JSON.parse(entry), self: true });
        expect(JSON.parse(entryFrame(own, seq, 2 ** 52, replayed))).toEqual({
          ...JSON.parse(own),
          seq,
          gen: 2 ** 52,
          replayed,
        });
      }),
    );
  });
});

describe('entryPosition', () => {
  it('is 0 for a gap that stands for several, its own for one entry', () => {
    expect(entryPosition(gapEntry(1, 3, 'overflow', ['dm:alice:bob']))).toBe(0);
    expect(entryPosition('{"t":"gap","position":77,"conversation":"c","from":1,"to":1}')).toBe(77);
    expect(entryPosition('{"t":"deleted","position":78,"conversation":"c"}')).toBe(78);
  });

  it('refuses what is no entry rather than find a position in its text', () => {
    for (const text of ['', '{}', '{"t":"message","conversation":"dm:alice:bob","body":"","position":1}', 'garbage']) {
      expect(() => entryPosition(text)).toThrow('not an inbox entry');
    }
  });
});

describe('a gap', () => {
  it('counts what it stands for, and says replayed of nothing', () => {
    const frame = JSON.parse(entryFrame(gapEntry(3, 7, 'expired', []), 7, 9, true)) as object;
    expect(frame).toEqual({ t: 'gap', seq: 7, gen: 9, from: 3, to: 7, count: 5, reason: 'expired', conversations: [] });
  });
});
