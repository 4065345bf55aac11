import { decodeJwt, SignJWT } from 'jose';
import { FailedError, UsageError } from './command.ts';

/** HS256 needs a key as long as its hash; a gateway refuses a shorter one too. */
const MIN_SECRET_BYTES = 32;

/** A development token: HS256, audience `restante`. */
export async function signToken(
  secret: string,
  user: string,
  ttlSeconds: number,
  extra: { device?: string } = {},
): Promise<string> {
  const key = new TextEncoder().encode(secret);
  if (key.length < MIN_SECRET_BYTES)
    throw new FailedError(`the secret has ${key.length} bytes, at least ${MIN_SECRET_BYTES} are needed`);
  return new SignJWT(extra.device === undefined ? {} : { dev: extra.device })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user)
    .setAudience('restante')
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + ttlSeconds)
    .sign(key);
}

/** The claims of a token as it says, unchecked: only the gateway can tell whether they hold. */
export function claimsOf(token: string): { sub?: string; exp?: number } {
  try {
    const { sub, exp } = decodeJwt(token);
    return { ...(sub === undefined ? {} : { sub }), ...(exp === undefined ? {} : { exp }) };
  } catch {
    throw new UsageError('what was given as --token (or RESTANTE_TOKEN) is not a JWT');
  }
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Seconds of `90`, `90s`, `15m`, `12h`, `30d`. */
export function parseDuration(text: string): number {
  const match = /^(\d+)([smhd]?)$/.exec(text);
  const seconds = match ? Number(match[1]) * UNITS[(match[2] || 's') as keyof typeof UNITS] : 0;
  if (!(seconds > 0)) throw new UsageError(`${JSON.stringify(text)} is no duration: write 90s, 15m, 12h or 30d`);
  return seconds;
}
