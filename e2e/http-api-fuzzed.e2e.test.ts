import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pinnedVenv } from '@restante/localstack/python-venv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call } from './support/http.ts';
import { type Stack, startStack } from './support/stack.ts';

/**
 * The HTTP API is called by what it says of itself: schemathesis makes good and bad requests of every call from /openapi.json, and holds each
 * answer against it. Its seed is fixed, so that a failure comes again.
 */
const PINS = fileURLToPath(new URL('../localstack/schemathesis-4.32.5-pins.txt', import.meta.url));
const EXAMPLES_PER_CALL = 40;
const SEED = 20261121;
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'ignored_auth',
];
let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ gateways: 1, env: { RATE_SEND_PER_SECOND: '100000', RATE_SEND_BURST: '100000' } });
});
afterAll(() => stack?.stop());

test('every call answers as /openapi.json says, to whatever is sent, and never by a 5xx', async () => {
  const venv = await pinnedVenv('schemathesis', PINS);
  const dir = mkdtempSync(join(tmpdir(), 'restante-schemathesis-'));
  // 413 refuses as well as 400 does.
  writeFileSync(join(dir, 'schemathesis.toml'), '[checks.negative_data_rejection]\nexpected-statuses = ["4xx"]\n');
  const url = stack.gatewayUrls[0]!;
  const token = await stack.token('alice');
  // What some calls are about, so that not all of them come to nothing.
  await call(url, '/v1/conversations', { token, body: { id: 'team', members: ['bob'] } });
  const args = [
    ...['-m', 'schemathesis.cli', 'run', `${url}/openapi.json`, '--checks', CHECKS.join(',')],
    ...['--header', `Authorization: Bearer ${token}`, '--max-examples', String(EXAMPLES_PER_CALL)],
    ...['--seed', String(SEED), '--phases', 'examples,coverage,fuzzing', '--no-shrink', '--no-color'],
    ...['--exclude-path-regex', '^/(healthz|readyz|openapi.json|asyncapi.json)$'],
  ];
  const { code, output } = await new Promise<{ code: unknown; output: string }>((resolve) => {
    execFile(join(venv, 'bin', 'python'), args, { cwd: dir, maxBuffer: 2 ** 24 }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, output: stdout + stderr }),
    );
  });
  rmSync(dir, { recursive: true, force: true });
  // Long values would hide what it says of them.
  expect(code, output.replace(/\S{300,}/g, '…').slice(-10_000)).toBe(0);
});

test('the descriptions are there for whoever asks', async () => {
  const url = stack.gatewayUrls[0]!;
  expect((await call(url, '/openapi.json')).json).toMatchObject({ openapi: '3.1.0' });
  expect((await call(url, '/asyncapi.json')).json).toMatchObject({ asyncapi: '3.0.0' });
});
