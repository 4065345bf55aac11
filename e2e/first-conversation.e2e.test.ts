import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call } from './support/http.ts';
import { restante, rowsOf } from './support/restante.ts';
import { type Stack, startStack } from './support/stack.ts';

/** README's first conversation, as it stands there: each command does what the page shows, and is answered as it says. */
const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const PROMPT = '$ npx restante ';
let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.stop());

/** The commands of the page's transcripts, with what they print there. */
function transcript(): { args: string[]; out: string }[] {
  const [, section = ''] = README.split('## A first conversation');
  const blocks = [...section.split('\n## ')[0]!.matchAll(/```\n([\s\S]*?)```/g)].map(([, block = '']) => block);
  return blocks.flatMap((block) =>
    `\n${block}`
      .split(`\n${PROMPT}`)
      .slice(1)
      .map((step) => {
        const [command = '', ...lines] = step.split('\n');
        const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
        return { args: words, out: lines.join('\n') };
      }),
  );
}

/** Without what differs each time. */
const masked = (text: string) =>
  text
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>')
    .replaceAll(/ +[\d.,]+ ms/g, ' <ms>')
    .replaceAll(/\d\d:\d\d:\d\d\.\d{3}/g, '<time>')
    .replaceAll(/generation \d+/g, 'generation <gen>')
    .trimEnd();

test('the commands of the page print what it shows, and what was acked never comes again', async () => {
  const steps = transcript();
  expect(steps.map(({ args }) => args[0])).toEqual(['send', 'send', 'inbox', 'listen']);
  for (const { args, out } of steps) {
    const ran = await restante(stack, args);
    expect([args, ran.code, ran.note, masked(ran.out)]).toEqual([args, 0, '', masked(out)]);
  }
  const again = await restante(stack, ['listen', 'bob', '--until-drained']);
  expect([again.code, again.out]).toEqual([0, expect.stringContaining('nothing waits')]);
  expect(again.out).not.toContain('waiting for you');
});

test('token prints one that a gateway takes as its user', async () => {
  const { code, out } = await restante(stack, ['token', 'bob', '--ttl', '15m']);
  expect(code).toBe(0);
  const path = '/v1/messages/sync?device=cli';
  expect(await call(stack.gatewayUrls[0]!, path, { token: out.trim() })).toMatchObject({
    status: 200,
    json: { acked: 2, tail: 2, entries: [] },
  });
  expect(await restante(stack, ['token', 'no user'])).toMatchObject({ code: 2, out: '' });
});

test('status names each process, live and ready; it fails where nothing runs', async () => {
  const { code, out } = await restante(stack, ['status', '--json']);
  const { gateways, services, engines } = stack.run;
  const shown = rowsOf(out).map(({ name, pid, alive, ready }) => [name, pid, alive, ready]);
  const ours = [...gateways, ...services].map(({ name, pid }) => [name, pid, true, true]);
  expect([code, shown]).toEqual([0, [...engines.map(({ name, pid }) => [name, pid, true, undefined]), ...ours]]);
  const nowhere = await restante(stack, ['status'], { DATA_DIR: join(stack.dir, 'nothing-here') });
  expect(nowhere).toMatchObject({ code: 1, out: '', note: expect.stringContaining('npm start') });
});

test('doctor finds nothing wrong with what runs, and fails on a setting that is none', async () => {
  const { code, out } = await restante(stack, ['doctor', '--json']);
  const checks = rowsOf(out);
  expect([code, checks.filter(({ state }) => state === 'fail')]).toEqual([0, []]);
  expect(checks).toContainEqual(expect.objectContaining({ name: 'Processes', state: 'ok' }));
  const misspelt = await restante(stack, ['doctor'], { KAFKA_BROKER: 'x' });
  expect([misspelt.code, misspelt.out]).toEqual([1, expect.stringContaining('KAFKA_BROKER is no setting')]);
  expect(misspelt.out).toContain('→ rename it');
  expect(misspelt.out.trimEnd().split('\n').at(-1)).toMatch(/^1 failed, /);
});
