import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FileLock, lock, tryLock } from './file-lock.ts';

let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'restante-lock-'));
  path = join(dir, 'lock');
});
afterEach(() => rmSync(dir, { recursive: true }));

const taken = (result: ReturnType<typeof tryLock>): FileLock => {
  if ('heldBy' in result) throw new Error(`held by ${result.heldBy.pid}`);
  return result;
};

it('is held by one at a time, who is named to the others', async () => {
  const first = taken(tryLock(path));
  expect(first.stale).toBeUndefined();
  expect(tryLock(path)).toEqual({ heldBy: expect.objectContaining({ pid: process.pid }) });
  let waitedFor: number | undefined;
  const second = lock(path, ({ pid }) => {
    waitedFor = pid;
    first.release();
  });
  (await second).release();
  expect(waitedFor).toBe(process.pid);
  expect(readdirSync(dir)).toEqual([]);
});

it('whose holder has died is free, and says so', async () => {
  const other = spawn('sleep', ['60']);
  const pid = other.pid!;
  writeFileSync(path, JSON.stringify({ pid, started: '' }));
  expect(tryLock(path)).toEqual({ heldBy: { pid, started: '' } });
  const ended = new Promise((resolve) => other.once('exit', resolve));
  other.kill('SIGKILL');
  await ended;
  expect(taken(tryLock(path)).stale).toEqual({ pid, started: '' });
});

it('whose number now belongs to another process is free', () => {
  writeFileSync(path, JSON.stringify({ pid: process.pid, started: 'long ago' }));
  expect(taken(tryLock(path)).stale).toMatchObject({ pid: process.pid });
});

it('that holds nothing readable is free', () => {
  writeFileSync(path, '');
  expect(taken(tryLock(path)).stale).toBeUndefined();
});
