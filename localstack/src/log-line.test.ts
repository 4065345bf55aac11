import { expect, it } from 'vitest';
import { summaryOf } from './log-line.ts';

it('shows warnings and worse with the reason, once', () => {
  const line = (level: number, msg: string, err?: unknown) => summaryOf(JSON.stringify({ level, msg, err }));
  expect(line(30, 'fine')).toBeUndefined();
  expect(line(40, 'slow')).toBe('slow');
  expect(line(50, 'failed', { message: 'no disk' })).toBe('failed (no disk)');
  expect(line(60, 'could not start: PORT=1: bad', { message: 'PORT=1: bad' })).toBe('could not start: PORT=1: bad');
});

it('shows what is no log entry as it is, cut', () => {
  expect(summaryOf('   ')).toBeUndefined();
  expect(summaryOf('{broken')).toBe('{broken');
  expect(summaryOf(`Segmentation fault ${'x'.repeat(1000)}`)).toHaveLength(240);
});
