import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test, vi } from 'vitest';
import { MemoryWatch } from './memory-watch.ts';

const MIB = 2 ** 20;
const HOLD_WHEN_ASKED = `process.stdin.once('data', () => { globalThis.held = Buffer.alloc(${64 * MIB}, 1) });
process.stdin.on('end', () => process.exit()); console.log('ready')`;

test('sees the most that a process had, though it gave that back', async () => {
  const child = spawn(process.execPath, ['-e', HOLD_WHEN_ASKED], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const watch = new MemoryWatch([child.pid as number]);
  child.stdin.write('hold');
  await vi.waitFor(() => expect(watch.grownBytes).toBeGreaterThan(48 * MIB), 20_000);
  child.stdin.end();
  await once(child, 'exit');
  expect(watch.stop()).toBeGreaterThan(48 * MIB);
});
