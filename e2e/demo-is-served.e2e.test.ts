import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { type Stack, startStack } from './support/stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.stop());

test('the first gateway serves the demo and its tokens in development, the second does not', async () => {
  const [first, second] = stack.gatewayUrls as [string, string];
  const page = await call(first, '/');
  expect(page).toMatchObject({ status: 200 });
  expect(page.text).toContain('<script type="module" src="demo.js">');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
  expect((await call(first, '/demo/demo.js')).headers.get('content-type')).toContain('javascript');
  const { json } = await call(first, '/demo/token?user=ana');
  const ana = await TestClient.drained({ url: second, user: 'ana', device: 'web', token: String(json.token) });
  await ana.close();
  expect(await call(first, '/demo/token?user=not%20a%20user')).toMatchObject({
    status: 400,
    json: { code: 'bad_field' },
  });
  expect((await call(second, '/demo/')).status).toBe(404);
  expect((await call(second, '/demo/token?user=ana')).status).toBe(404);
});
