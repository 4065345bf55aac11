import pc from 'picocolors';
import { expect, test } from 'vitest';
import type { Frame } from './frames.ts';
import { harmless, renderFrame } from './render.ts';

const plain = pc.createColors(false);
const show = (frame: Frame) => renderFrame(frame, 'bob', plain);
const message = {
  t: 'message',
  seq: 7,
  gen: 1,
  replayed: false,
  id: 'aaaaaaaa',
  conversation: 'dm:alice:bob',
  position: 5,
  from: 'alice',
  body: 'hello',
  kind: 'text',
  sentAt: 0,
  storedAt: 1,
} as const;

test('shows control sequences instead of obeying them', () => {
  expect(harmless('\u001b[2Jgone')).toBe('\\u001b[2Jgone');
  expect(harmless('a\rb\u0007\u202e')).toBe('a\\u000db\\u0007\\u202e');
  expect(harmless('two\nlines\tø 🙂')).toBe('two ⏎ lines\tø 🙂');
  expect(show({ ...message, body: 'x\u001b]0;title\u0007' })).not.toContain('\u001b');
});

test('says what a person needs of a message', () => {
  expect(show(message)).toMatch(/^\d\d:\d\d:\d\d\.\d{3} #7 alice {2}hello$/);
  expect(show({ ...message, replayed: true, kind: 'image' })).toContain('(image, replayed)');
  expect(show({ ...message, conversation: 'grp:tea' })).toContain('alice in grp:tea');
  expect(show({ ...message, from: 'bob', self: true })).toContain('bob → alice');
});

test('says where the missing entries may be found', () => {
  const gap = show({
    t: 'gap',
    seq: 9,
    gen: 1,
    from: 8,
    to: 9,
    count: 2,
    reason: 'expired',
    conversations: ['dm:alice:bob'],
  });
  expect(gap).toContain('2 entries #8 to #9');
  expect(gap).toContain('expired');
  expect(gap).toContain('dm:alice:bob');
});

test('counts what waits in the welcome', () => {
  const welcome = {
    t: 'welcome',
    connection: 'c',
    user: 'bob',
    device: 'cli',
    gen: 1,
    acked: 3,
    tail: 1003,
    window: 256,
    heartbeatSeconds: 30,
    now: 0,
  } as const;
  expect(show(welcome)).toContain('1,000 entries to come');
  expect(show({ ...welcome, tail: 3 })).toContain('nothing waits');
});
