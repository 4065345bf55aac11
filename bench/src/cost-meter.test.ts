import { expect, test } from 'vitest';
import { systemCalls } from './cost-meter.ts';

test('the number of system calls is read from the last line of strace, with and without errors in it', () => {
  const head =
    '% time     seconds  usecs/call     calls    errors syscall\n------ ----------- ----------- --------- --------- ----------------\n';
  expect(
    systemCalls(
      `${head} 62.85    0.006908           0     12417           read\n100.00    0.010992           0     24834           total\n`,
    ),
  ).toBe(24834);
  expect(systemCalls(`${head}100.00    0.010992           0     24834        17 total\n`)).toBe(24834);
  expect(() => systemCalls('')).toThrow('strace counted nothing');
});
