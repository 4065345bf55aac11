import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { AuthError, createAuthenticate } from './auth.ts';

const SECRET = '0123456789abcdef0123456789abcdef';
const now = () => Math.floor(Date.now() / 1000);
type Key = { kid: string; publicKey: CryptoKey; privateKey: CryptoKey };
const makeKey = async (kid: string, alg = 'ES256'): Promise<Key> => ({
  kid,
  ...(await generateKeyPair(alg, { extractable: true })),
});

function signed(
  key: CryptoKey | Uint8Array,
  header: { alg: string; kid?: string },
  claims: object = {},
): Promise<string> {
  return new SignJWT({ sub: 'ann', aud: 'restante', exp: now() + 600, iat: now(), ...claims })
    .setProtectedHeader(header)
    .sign(key);
}

/** An issuer as it is in production: its public keys over HTTP. */
let issuer: Server;
let url: string;
let published: Key[] = [];
let answers: 'keys' | 'nothing' | 'an error' = 'keys';
let asked = 0;
let first: Key;

beforeAll(async () => {
  first = await makeKey('first');
  published = [first];
  issuer = createServer(async (_, response) => {
    asked++;
    if (answers === 'nothing') return response.destroy();
    if (answers === 'an error') return response.writeHead(500).end();
    const keys = await Promise.all(
      published.map(async ({ kid, publicKey }) => ({ kid, ...(await exportJWK(publicKey)) })),
    );
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
  });
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/jwks`;
});
afterAll(() => issuer.close());

const production = () =>
  createAuthenticate({ NODE_ENV: 'production', JWT_SECRET: undefined, JWKS_URL: url, JWT_AUDIENCE: 'restante' });
const development = (secret = SECRET) =>
  createAuthenticate({ NODE_ENV: 'development', JWT_SECRET: secret, JWKS_URL: undefined, JWT_AUDIENCE: 'restante' });
const text = (secret = SECRET) => new TextEncoder().encode(secret);

describe('the issuer’s keys', () => {
  test('a token of a published key is its user’s', async () => {
    const token = await signed(first.privateKey, { alg: 'ES256', kid: 'first' }, { dev: 'phone' });
    expect(await production()(token)).toMatchObject({ user: 'ann', device: 'phone' });
  });

  test('neither an unsigned one, nor one "signed" with the public key, nor another algorithm or key, nor a development secret', async () => {
    const authenticate = production();
    const other = await makeKey('first');
    const rsa = await makeKey('rsa', 'RS512');
    published = [first, rsa];
    const claims = { sub: 'ann', aud: 'restante', exp: now() + 600 };
    const tokens = [
      new UnsecuredJWT(claims).encode(),
      await signed(new TextEncoder().encode(await exportSPKI(first.publicKey)), { alg: 'HS256', kid: 'first' }),
      await signed(text(), { alg: 'HS256' }),
      await signed(other.privateKey, { alg: 'ES256', kid: 'first' }),
      await signed(first.privateKey, { alg: 'ES256', kid: 'unknown' }),
      await signed(rsa.privateKey, { alg: 'RS512', kid: 'rsa' }),
    ];
    for (const token of tokens) await expect(authenticate(token)).rejects.toThrow(AuthError);
    published = [first];
  });

  test('a rotation is seen without a restart, made-up key ids are not asked for each time, and a key that is gone is not taken', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const authenticate = production();
      const old = await signed(first.privateKey, { alg: 'ES256', kid: 'first' });
      await authenticate(old);
      const second = await makeKey('second');
      published = [second];
      const before = asked;
      for (let i = 0; i < 20; i++)
        await expect(authenticate(await signed(first.privateKey, { alg: 'ES256', kid: `x${i}` }))).rejects.toThrow(
          AuthError,
        );
      expect(asked - before).toBeLessThanOrEqual(1);
      vi.setSystemTime(Date.now() + 6_000);
      expect(await authenticate(await signed(second.privateKey, { alg: 'ES256', kid: 'second' }))).toMatchObject({
        user: 'ann',
      });
      await expect(authenticate(old)).rejects.toThrow(AuthError);
    } finally {
      published = [first];
      vi.useRealTimers();
    }
  });

  test.each(['nothing', 'an error'] as const)(
    'where the issuer answers %s, no token is called bad: come again',
    async (answer) => {
      answers = answer;
      const token = await signed(first.privateKey, { alg: 'ES256', kid: 'first' });
      await expect(production()(token)).rejects.toMatchObject({ name: 'UnavailableError' });
      answers = 'keys';
    },
  );
});

describe('claims', () => {
  const refused: [what: string, claims: object, why: string][] = [
    ['no sub', { sub: undefined }, 'sub'],
    ['a sub that is no user id', { sub: 'a b' }, 'sub'],
    ['a sub with a brace, which would be another key in Redis', { sub: 'a}b{c' }, 'sub'],
    ['a sub that is too long', { sub: 'x'.repeat(129) }, 'sub'],
    ['no exp', { exp: undefined }, 'exp'],
    ['an exp that has passed', { exp: now() - 60 }, 'expired'],
    ['no aud', { aud: undefined }, 'aud'],
    ['another aud', { aud: 'another' }, 'aud'],
    ['not yet', { nbf: now() + 600 }, 'nbf'],
    ['a dev that is no string', { dev: 7 }, 'dev'],
  ];
  test.each(refused)('%s is refused, named, and not repeated', async (_, claims, why) => {
    const token = await signed(text(), { alg: 'HS256' }, claims);
    const error = await development()(token).catch((reason: Error) => reason);
    expect(error).toBeInstanceOf(AuthError);
    expect((error as Error).message).toContain(why);
    expect((error as Error).message).not.toContain(token.slice(0, 20));
  });

  test('a clock that is a few seconds off is forgiven', async () => {
    await expect(development()(await signed(text(), { alg: 'HS256' }, { exp: now() - 2 }))).resolves.toMatchObject({
      user: 'ann',
    });
  });
});

test('a secret is for development alone, and long enough', () => {
  expect(() => development('short')).toThrow('HS256 needs 32');
  const inProduction = {
    NODE_ENV: 'production' as const,
    JWT_SECRET: SECRET,
    JWKS_URL: undefined,
    JWT_AUDIENCE: 'restante',
  };
  expect(() => createAuthenticate(inProduction)).toThrow('set JWKS_URL in production');
  expect(() => createAuthenticate({ ...inProduction, JWT_SECRET: undefined })).toThrow('JWT_SECRET is not set');
});
