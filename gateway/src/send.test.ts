import { expect, test } from 'vitest';
import type { GatewayLog } from './log.ts';
import { SendPath } from './send.ts';

/** A log that takes all. */
const log = {
  accepting: () => ({ ok: true }),
  command: () => Promise.resolve(),
  paced: () => undefined,
} as unknown as GatewayLog;
const fields = (id: string) => ({ id, to: 'bob', body: 'x' }) as Parameters<SendPath['send']>[1];
const codes = (path: SendPath, user: string, times: number, nowMs: number) =>
  Array.from({ length: times }, (_, i) => {
    const sent = path.send({ user }, fields(`message-${i}`), nowMs);
    return 'code' in sent ? sent.code : 'taken';
  });
const taken = (all: string[]) => all.filter((code) => code === 'taken').length;

test('while all together send more than is taken, those who send much have a 25th of their rate, those who send little lose nothing', () => {
  const now = Date.now();
  const path = new SendPath(log, { perSecond: 100, burst: 200, ofAllPerSecond: 50 });
  expect(taken(codes(path, 'flooder', 200, now))).toBe(50);
  expect(codes(path, 'flooder', 1, now)).toEqual(['rate_limited']);
  expect(codes(path, 'honest', 3, now)).toEqual(['taken', 'taken', 'taken']);
  expect(taken(codes(path, 'another-flooder', 200, now))).toBe(8);
});

test('while there is room, a user has all of their rate', () => {
  const path = new SendPath(log, { perSecond: 100, burst: 200, ofAllPerSecond: 1_000 });
  expect(taken(codes(path, 'busy', 250, Date.now()))).toBe(200);
});
