import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stack, startStack } from './support/stack.ts';

/** The guide promises a chat in 30 lines: this runs them as they stand there. */
const GUIDE = fileURLToPath(new URL('../docs/client.md', import.meta.url));
const PROGRAM = fileURLToPath(new URL(`../client/chat-of-the-guide-${process.pid}.mjs`, import.meta.url));
let stack: Stack;
const running = new Set<Chat>();

beforeAll(async () => {
  stack = await startStack();
});
afterAll(async () => {
  for (const chat of running) await chat.stop();
  rmSync(PROGRAM, { force: true });
  await stack?.stop();
});

class Chat {
  output = '';
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<unknown>;

  constructor(me: string, peer: string) {
    this.#child = spawn(process.execPath, [PROGRAM, me, peer], { env: { ...process.env, DATA_DIR: stack.dir } });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on('data', (data: Buffer) => {
        this.output += data.toString();
      });
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
    running.add(this);
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  async shows(text: string): Promise<void> {
    const end = Date.now() + 60_000;
    while (!this.output.includes(text)) {
      if (Date.now() > end) throw new Error(`waited for ${JSON.stringify(text)} in:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Killed, as a phone kills an app. */
  async stop(): Promise<void> {
    running.delete(this);
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

test('the 30 lines of the guide are a chat: what is sent to someone away is there when they come', async () => {
  const block = /<!-- e2e\/client-docs[^>]*-->\n```js\n([\s\S]*?)```/.exec(readFileSync(GUIDE, 'utf8'))?.[1] ?? '';
  const lines = block.trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(10);
  expect(lines.length).toBeLessThanOrEqual(30);
  writeFileSync(PROGRAM, block);

  const ana = new Chat('ana', 'bo');
  ana.type('are you there?');
  await ana.shows('ana: are you there? (stored)');
  const bo = new Chat('bo', 'ana');
  await bo.shows('ana: are you there?');
  await ana.shows('ana: are you there? (read)');
  await ana.stop();
  bo.type('now I am');
  await bo.shows('bo: now I am (stored)');
  await bo.stop();
  // As a process leaves it that is killed while it writes.
  mkdirSync(join(stack.dir, 'chat', 'ana.db.lock'), { recursive: true });
  const again = new Chat('ana', 'bo');
  await again.shows('bo: now I am');
  await again.stop();
});

test('the API reference is of these sources', () => {
  const script = fileURLToPath(new URL('../client/api-docs.mjs', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  expect(`${stderr}${status}`).toBe('0');
});
