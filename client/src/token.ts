import { RestanteError } from './errors.ts';

/**
 * Gives a token for this user, from the app's own backend.
 * @param fresh true where the last one was refused or has expired: a cached one won't do
 */
export type TokenProvider = (fresh: boolean) => string | Promise<string>;

/** A token is renewed this long before it expires, so that it doesn't on the way. */
const EXPIRY_MARGIN_MS = 20_000;

/** Keeps the last token until it is about to expire or was refused. */
export class TokenCache {
  readonly #provider: TokenProvider;
  readonly #now: () => number;
  #token: string | undefined;

  constructor(provider: TokenProvider, now: () => number) {
    this.#provider = provider;
    this.#now = now;
  }

  /** @throws RestanteError `no_token` where the provider fails */
  async get(fresh: boolean): Promise<string> {
    if (!fresh && this.#token !== undefined && this.#now() < expiryMs(this.#token) - EXPIRY_MARGIN_MS)
      return this.#token;
    const old = this.#token !== undefined;
    this.#token = undefined;
    let token: string;
    try {
      token = await this.#provider(fresh || old);
    } catch (cause) {
      throw new RestanteError('no_token', 'the token provider failed', { canRetry: true, cause });
    }
    if (typeof token !== 'string' || token === '')
      throw new RestanteError('no_token', 'the token provider gave no token', { canRetry: true });
    this.#token = token;
    return token;
  }
}

/** The `exp` of a JWT in milliseconds, not verified: only the server's word counts. Unreadable: never. */
function expiryMs(token: string): number {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const exp = (JSON.parse(atob(payload)) as { exp?: unknown }).exp;
    return typeof exp === 'number' ? exp * 1000 : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
