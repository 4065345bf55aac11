import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { messageOf, UnavailableError } from './errors.ts';
import { createLogger } from './logger.ts';

function loggedOf(error: unknown): string {
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk, _, done) => {
      lines.push(String(chunk));
      done();
    },
  });
  createLogger('test', 'trace', sink).error({ err: error }, 'failed');
  return lines.join('');
}

function failureOf(text: string): Error {
  try {
    JSON.parse(text);
  } catch (error) {
    return error as Error;
  }
  throw new Error(`this is JSON: ${text}`);
}

const BODIES = ['secret body', '{"body":secret body}', 'secret\nbody is not valid JSON secret'];

it.each(BODIES)('what is no JSON is quoted neither in a log nor in a message, of itself or as a cause: %j', (text) => {
  const failure = failureOf(text);
  expect(failure.message).toContain('secret');
  const wrapped = new UnavailableError(`Redis: ${failure.message}`, { cause: failure });
  for (const error of [failure, wrapped, new Error('entry', { cause: wrapped })]) {
    expect(messageOf(error)).not.toContain('secret');
    expect(loggedOf(error)).not.toContain('secret');
    expect(loggedOf(error)).toContain('logger.test.ts');
  }
});

it('the arguments of a failed Redis command are not logged, the rest of the error is', () => {
  const error = Object.assign(new Error('OOM'), { code: 'OOM', command: { name: 'evalsha', args: ['secret body'] } });
  expect(loggedOf(error)).not.toContain('secret');
  expect(JSON.parse(loggedOf(error))).toMatchObject({ err: { type: 'Error', message: 'OOM', code: 'OOM' } });
  expect(JSON.parse(loggedOf('a text'))).toMatchObject({ err: 'a text' });
});
