import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { Operator, type OperatorOptions } from './operator.ts';

const TOKEN = 'a-token-of-24-characters-or-more';
let server: Server | undefined;
afterEach(() => server?.close());

/** No store is there: what is refused is refused before anything was read, done or put on record. */
async function ask(
  path: string,
  settings: Pick<OperatorOptions, 'token' | 'showsBodies'>,
  method = 'GET',
): Promise<[number, string]> {
  const operator = new Operator(settings as OperatorOptions);
  server = createServer((request, response) => void operator.serve(request, response));
  await new Promise<void>((listening) => server?.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const headers = { authorization: `Bearer ${TOKEN}` };
  const response = await fetch(`http://127.0.0.1:${port}/operator/${path}`, { method, headers });
  return [response.status, await response.text()];
}

it.each(['api/users/bob/inbox?bodies=true', 'api/dead-letters/12?bodies=true'])(
  '%s is refused unless OPERATOR_SHOWS_BODIES is true',
  async (path) => {
    const [status, text] = await ask(path, { token: TOKEN, showsBodies: false });
    expect([status, text]).toEqual([403, expect.stringContaining('OPERATOR_SHOWS_BODIES')]);
  },
);

it.each(['', 'page.mjs', 'api/system'])('without ADMIN_TOKEN there is no /operator/%s', async (path) => {
  const [status, text] = await ask(path, { token: undefined, showsBodies: true });
  expect([status, text]).toEqual([404, expect.stringContaining('set ADMIN_TOKEN')]);
});

it.each(['users/bob/revoke', 'slots/0/drain', 'notice', 'dead-letters/0/discard'])(
  'without ADMIN_TOKEN nothing is done by %s',
  async (order) => {
    const [status, text] = await ask(`api/${order}`, { token: undefined, showsBodies: true }, 'POST');
    expect([status, text]).toEqual([404, expect.stringContaining('set ADMIN_TOKEN')]);
  },
);

it.each(['from=-1', 'since=x', 'limit=501'])('a listing of dead letters with %s is refused', async (query) => {
  const [status] = await ask(`api/dead-letters?${query}`, { token: TOKEN, showsBodies: false });
  expect(status).toBe(400);
});
