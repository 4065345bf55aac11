import { jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { UsageError } from './command.ts';
import { parseDuration, signToken } from './sign-token.ts';

const secret = 's'.repeat(32);

test('signs what a gateway accepts: sub, aud, exp, and dev where bound', async () => {
  const { payload } = await jwtVerify(
    await signToken(secret, 'alice', 90, { device: 'phone' }),
    new TextEncoder().encode(secret),
    { audience: 'restante' },
  );
  expect(payload).toMatchObject({ sub: 'alice', dev: 'phone' });
  expect((payload.exp as number) - (payload.iat as number)).toBe(90);
});

test('refuses a secret shorter than its hash', async () => {
  await expect(signToken('short', 'alice', 60)).rejects.toThrow('at least 32');
});

test('reads durations', () => {
  expect(['90', '90s', '15m', '12h', '30d'].map(parseDuration)).toEqual([90, 90, 900, 43_200, 2_592_000]);
  for (const bad of ['', '0', '-1', '1.5h', '2w', 'soon']) expect(() => parseDuration(bad)).toThrow(UsageError);
});
