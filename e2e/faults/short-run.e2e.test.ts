import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { faultRun } from './fault-run.ts';

/** A few of the kinds of faults, half a minute: `npm run faults` is the long one. */
const NEMESES = [
  'gateway-killed',
  'messaging-killed',
  'redis-flushed',
  'redis-killed',
  'kafka-cut',
  'clients-answers-lost',
];

test('half a minute of work under faults: nothing is lost, misdirected, out of order or repeated after its ack', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'restante-short-faults-'));
  const options = { seed: 1, minutes: 0.4, nemeses: NEMESES, rate: 20 };
  const report = await faultRun({ ...options, folder, say: () => {} });
  // Kept where it is needed.
  if (report.violations.length === 0) rmSync(folder, { recursive: true, force: true });
  expect(report.violations, `the history is kept in ${folder}`).toEqual([]);
  expect(report.accepted).toBeGreaterThan(100);
  expect(report.faultKinds).toBe(NEMESES.length);
}, 300_000);
