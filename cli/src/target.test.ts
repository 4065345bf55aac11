import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FailedError, UsageError } from './command.ts';
import { signToken } from './sign-token.ts';
import { pickGateway, resolveTarget, tokenFor } from './target.ts';

const secret = 's'.repeat(32);
const run = {
  gateways: [
    { name: 'gateway-1', pid: 1, url: 'http://127.0.0.1:8080' },
    { name: 'gateway-2', pid: 2, url: 'http://127.0.0.1:8081' },
  ],
  services: [],
  engines: [],
  jwtSecret: secret,
};
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'restante-cli-'));
  mkdirSync(join(folder, '.restante'));
  mkdirSync(join(folder, 'deep', 'down'), { recursive: true });
  writeFileSync(join(folder, '.restante', 'run.json'), JSON.stringify(run));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('finds run.json from any folder below', () => {
  const target = resolveTarget({}, {}, join(folder, 'deep', 'down'));
  expect(target).toMatchObject({ dataDir: join(folder, '.restante'), gateways: run.gateways, secret });
});

test('takes a named folder as it is: another .restante above must not answer for it', () => {
  const target = resolveTarget({ 'data-dir': 'other' }, {}, folder);
  expect(target).toMatchObject({ dataDir: join(folder, 'other'), run: undefined, gateways: [], secret: undefined });
  expect(resolveTarget({}, { DATA_DIR: 'other' }, folder).dataDir).toBe(join(folder, 'other'));
});

test('flags go before the environment, and that before run.json', () => {
  const env = { JWT_SECRET: 'e'.repeat(32), RESTANTE_TOKEN: 'env.to.ken', RESTANTE_GATEWAY: 'http://a,http://b' };
  expect(resolveTarget({}, env, folder)).toMatchObject({
    secret: env.JWT_SECRET,
    token: 'env.to.ken',
    gateways: [{ url: 'http://a' }, { url: 'http://b' }],
  });
  expect(resolveTarget({ secret: 'f', token: 'g' }, env, folder)).toMatchObject({ secret: 'f', token: 'g' });
});

test('says which file is broken', () => {
  writeFileSync(join(folder, '.restante', 'run.json'), '{"gateways":1}');
  expect(() => resolveTarget({}, {}, folder)).toThrow(/run\.json: gateways is not an array/);
});

test('picks a gateway by number, name or URL, and different ones for the two sides', () => {
  const target = resolveTarget({}, {}, folder);
  expect(pickGateway(target, undefined, 'first').name).toBe('gateway-1');
  expect(pickGateway(target, undefined, 'last').name).toBe('gateway-2');
  expect(pickGateway(target, '2', 'first').name).toBe('gateway-2');
  expect(pickGateway(target, 'gateway-1', 'last').name).toBe('gateway-1');
  expect(pickGateway(target, 'ws://h:1/', 'last').url).toBe('http://h:1');
  expect(() => pickGateway(target, '3', 'first')).toThrow(UsageError);
  expect(() => pickGateway({ ...target, gateways: [] }, undefined, 'first')).toThrow(FailedError);
});

test("refuses to speak with somebody else's token", async () => {
  const target = { ...resolveTarget({}, {}, folder), token: await signToken(secret, 'alice', 60) };
  expect(await tokenFor(target, 'alice')).toBe(target.token);
  await expect(tokenFor(target, 'bob')).rejects.toThrow("alice's, not bob's");
  await expect(tokenFor({ ...target, token: 'nonsense' }, 'bob')).rejects.toThrow('not a JWT');
  await expect(tokenFor(target, 'no spaces')).rejects.toThrow(UsageError);
});
