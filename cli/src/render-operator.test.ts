import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { renderAction, renderEntry, renderLetter, renderUser } from './render-operator.ts';

const about = {
  known: true,
  inbox: { gen: 2, base: 0, tail: 9, listed: 3, whole: true },
  devices: [{ device: 'phone', acked: 6, seenAt: 0 }],
  sessions: [{ conn: 'c1', slot: 0, device: 'phone', live: true, alive: true }],
  conversations: 1,
  cursors: [{ device: 'phone', conversation: 'dm:alice:bob', position: 41 }],
};
const entry = { seq: 7, t: 'message', conversation: 'dm:alice:bob', position: 5, listedAtMs: 0, bytes: 80 };
const plain = (line: string) => stripVTControlCharacters(line);

test('says of a user what waits, where they are, and how far each device durably got', () => {
  const lines = renderUser('bob', about).map(plain);
  expect(lines).toEqual([
    'bob  3 entries, tail 9, generation 2, whole, 1 conversations',
    expect.stringContaining('device phone  acked 6'),
    expect.stringContaining('connection c1  device phone  slot 0  live'),
    '  cursor of phone  dm:alice:bob  up to 41',
  ]);
  expect(renderUser('nobody', { ...about, known: false })).toHaveLength(1);
});

test('shows an entry, with its body only where there is one, and nothing that a terminal would obey', () => {
  expect(plain(renderEntry({ ...entry, from: 'alice', id: 'hello-1', kind: 'text' }))).toBe(
    '#7  1970-01-01T00:00:00.000Z  text  dm:alice:bob at 5  from alice  hello-1  80 bytes',
  );
  expect(renderEntry({ ...entry, body: 'a\u001b]0;x\u0007' })).toContain('a\\u001b]0;x\\u0007');
  expect(renderLetter({ id: 1, at: 0, source: 's', reason: 'nacked: \u001b[2J' })).toContain('nacked: \\u001b[2J');
});

test('says of an action when, who, what and about whom', () => {
  const action = { t: 'notice', by: 'olga@::1', at: 0, text: 'two\nlines', user: 'bob' };
  expect(plain(renderAction(action))).toBe('1970-01-01T00:00:00.000Z  olga@::1  notice  text: two ⏎ lines, user: bob');
});
