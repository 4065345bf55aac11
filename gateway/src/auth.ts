import { USER_PATTERN } from '@restante/shared/contract/ids';
import { UnavailableError } from '@restante/shared/runtime/errors';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import type { Config } from './config.ts';

export type Identity = {
  user: string;
  device: string | undefined;
  expiresAtMs: number;
  issuedAtMs: number | undefined;
};
export class AuthError extends Error {
  override name = 'AuthError';
}

export type Authenticate = (token: string | undefined) => Promise<Identity>;

/** Asymmetric algorithms only where keys are public: an HS256 token "signed" with a public key must not pass. */
const PUBLIC_KEY_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'];
const CLOCK_TOLERANCE_SECONDS = 5;
const MIN_SECRET_BYTES = 32;
/** Keys that are not known yet are asked for this often at most: a rotation is seen soon, and made-up key ids cost the issuer little. */
const NEW_KEYS_EACH_MS = 5_000;
/** What jose says where the issuer's keys could not be had, as against a token that is wrong. */
const KEYS_AWAY = ['ERR_JWKS_TIMEOUT', 'ERR_JOSE_GENERIC', 'ERR_JWKS_INVALID'];

/**
 * Makes the check of tokens. The function it returns throws AuthError with what is wrong, never with the token.
 * @throws Error where neither JWKS_URL nor JWT_SECRET is set, or the secret is shorter than HS256 needs (RFC 7518, 3.2)
 */
export function createAuthenticate(
  config: Pick<Config, 'JWT_SECRET' | 'JWKS_URL' | 'JWT_AUDIENCE' | 'NODE_ENV'>,
): Authenticate {
  const options = {
    audience: config.JWT_AUDIENCE,
    clockTolerance: CLOCK_TOLERANCE_SECONDS,
    requiredClaims: ['sub', 'exp'],
  };
  const verify = ((): ((token: string) => Promise<{ payload: Record<string, unknown> }>) => {
    if (config.JWKS_URL) {
      const keys = createRemoteJWKSet(new URL(config.JWKS_URL), { cooldownDuration: NEW_KEYS_EACH_MS });
      return (token) => jwtVerify(token, keys, { ...options, algorithms: PUBLIC_KEY_ALGORITHMS });
    }
    if (!config.JWT_SECRET)
      throw new Error('JWT_SECRET is not set, nor JWKS_URL: set JWT_SECRET to 32 random bytes or more for development');
    if (config.NODE_ENV === 'production') throw new Error('JWT_SECRET is for development: set JWKS_URL in production');
    const secret = new TextEncoder().encode(config.JWT_SECRET);
    if (secret.length < MIN_SECRET_BYTES)
      throw new Error(`JWT_SECRET has ${secret.length} bytes: HS256 needs ${MIN_SECRET_BYTES} or more`);
    // Once: jose would import the bytes anew for each token.
    const key = crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
    return async (token) => jwtVerify(token, await key, { ...options, algorithms: ['HS256'] });
  })();

  return async (token) => {
    if (!token) throw new AuthError('no token: send Authorization: Bearer <jwt>, or the subprotocol bearer.<jwt>');
    try {
      const { payload } = await verify(token);
      const { sub, dev, exp, iat } = payload;
      if (typeof sub !== 'string' || !USER_PATTERN.test(sub)) throw new AuthError('the token’s sub is not a user id');
      if (dev !== undefined && typeof dev !== 'string') throw new AuthError('the token’s dev is not a string');
      return {
        user: sub,
        device: dev,
        expiresAtMs: Number(exp) * 1000,
        issuedAtMs: typeof iat === 'number' ? iat * 1000 : undefined,
      };
    } catch (error) {
      if (error instanceof AuthError) throw error;
      if (error instanceof errors.JWTExpired) throw new AuthError('the token has expired');
      if (error instanceof errors.JWTClaimValidationFailed)
        throw new AuthError(`the token’s ${error.claim} is missing or wrong`);
      if (error instanceof errors.JOSEError && !KEYS_AWAY.includes(error.code))
        throw new AuthError('the token is not valid');
      // No verdict on the token: the client keeps it, and comes again.
      throw new UnavailableError('the keys of the tokens are not to be had now: JWKS_URL', { cause: error });
    }
  };
}
