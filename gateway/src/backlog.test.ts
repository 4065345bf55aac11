import { expect, it } from 'vitest';
import { paceMs } from './backlog.ts';

it('holds nothing back up to the bound, more the longer what is beyond it will take, and never long', () => {
  expect(paceMs(1000, 1000, 500)).toBe(0);
  expect(paceMs(1100, 1000, 1000)).toBeCloseTo(3.125);
  expect(paceMs(1100, 1000, 500)).toBeCloseTo(6.25);
  expect(paceMs(1200, 1000, 1000)).toBeCloseTo(6.25);
  // Messaging stands still, or was not looked at before.
  expect(paceMs(2000, 1000, 0)).toBe(250);
  expect(paceMs(1_000_000, 1000, 1000)).toBe(250);
});
