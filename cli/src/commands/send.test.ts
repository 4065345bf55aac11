import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { UsageError } from '../command.ts';
import { bodies, sendCommand } from './send.ts';

const all = async (texts: AsyncIterable<string>) => {
  const out: string[] = [];
  for await (const text of texts) out.push(text);
  return out;
};

test('one text, a numbered many, or the lines of standard input', async () => {
  expect(await all(bodies('hi', 1))).toEqual(['hi']);
  expect(await all(bodies('hi', 3))).toEqual(['hi 1', 'hi 2', 'hi 3']);
  expect(await all(bodies('-', 1, Readable.from(['a\r\n\nb', '\nc'])))).toEqual(['a', 'b', 'c']);
});

const io = { env: {}, cwd: '/', terminal: true, out: () => {}, note: () => {} };
test.each([
  [['--to', 'bob', 'hi'], '--from'],
  [['--from', 'alice', 'hi'], 'exactly one of --to and --conversation'],
  [['--from', 'alice', '--to', 'bob', '--conversation', 'grp:x', 'hi'], 'exactly one'],
  [['--from', 'alice', '--conversation', 'dm:b:a', 'hi'], 'sorted'],
  [['--from', 'alice', '--to', 'bob'], 'send what?'],
  [['--from', 'alice', '--to', 'bob', 'two', 'words'], 'quote a text that has spaces'],
  [['alice', 'bob', 'hi', 'there'], 'quote a text that has spaces'],
  [['alice', 'b ob', 'hi'], 'no user id'],
  [['--from', 'alice', '--to', 'bob', 'hi', '--count', '0'], '--count'],
  [['--form', 'alice'], "Unknown option '--form'"],
])('usage: %j names %s', async (args, message) => {
  const error = await sendCommand.run(args, io).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(UsageError);
  expect((error as Error).message).toContain(message);
});
