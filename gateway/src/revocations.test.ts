import { expect, test } from 'vitest';
import { Revocations, refuseRevoked } from './revocations.ts';

const revoke = (user: string, at: number) => ({ t: 'revoke' as const, by: 'op', at, user });
const restore = (user: string, at: number) => ({ t: 'restore' as const, by: 'op', at, user });

test('tokens issued up to the revocation are refused, and those that do not say when; newer ones are not', () => {
  const revocations = new Revocations(100, () => 10_000);
  revocations.take(revoke('eve', 5_000));
  expect([4_000, 5_000, undefined, 6_000].map((at) => revocations.isRevoked('eve', at))).toEqual([
    true,
    true,
    true,
    false,
  ]);
  expect(revocations.isRevoked('bob', undefined)).toBe(false);
});

test('past and present may come in any order: the latest counts', () => {
  const revocations = new Revocations(100, () => 10_000);
  for (const action of [revoke('eve', 5_000), restore('eve', 4_000), revoke('eve', 3_000)]) revocations.take(action);
  expect(revocations.isRevoked('eve', 4_500)).toBe(true);
  revocations.take(restore('eve', 6_000));
  expect(revocations.isRevoked('eve', 4_500)).toBe(false);
});

test('a revocation holds as long as a token may live, and is forgotten then', () => {
  let now = 10_000;
  const revocations = new Revocations(100, () => now);
  revocations.take(revoke('eve', 10_000));
  now = 109_000;
  expect(revocations.isRevoked('eve', 1)).toBe(true);
  now = 111_000;
  expect(revocations.isRevoked('eve', 1)).toBe(false);
});

test('a token that is revoked is an authentication that failed', async () => {
  const revocations = new Revocations(100);
  revocations.take(revoke('eve', Date.now()));
  const authenticate = refuseRevoked(
    async () => ({ user: 'eve', device: undefined, expiresAtMs: 1, issuedAtMs: 1 }),
    revocations,
  );
  await expect(authenticate('token')).rejects.toThrow('the token was revoked');
});
