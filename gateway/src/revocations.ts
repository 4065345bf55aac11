import type { OperatorAction } from '@restante/shared/contract/operator-actions';
import { AuthError, type Authenticate } from './auth.ts';

const SWEEP_EACH = 1_000;

/**
 * Whose tokens are refused, and up to which time of issue. Kept for as long as the longest-lived token may live: after that each of
 * them has expired by itself.
 */
export class Revocations {
  readonly #keepMs: number;
  readonly #now: () => number;
  readonly #revokedAt = new Map<string, number>();
  #taken = 0;

  constructor(keepSeconds: number, now: () => number = Date.now) {
    this.#keepMs = keepSeconds * 1000;
    this.#now = now;
  }

  /** Before this nothing that was revoked matters any more. */
  sinceMs(): number {
    return Math.max(0, this.#now() - this.#keepMs);
  }

  take(action: OperatorAction): void {
    if (action.t === 'revoke') {
      // Past and present are read side by side: the latest counts.
      this.#revokedAt.set(action.user, Math.max(action.at, this.#revokedAt.get(action.user) ?? 0));
      if (++this.#taken % SWEEP_EACH === 0) this.#sweep();
    } else if (action.t === 'restore' && (this.#revokedAt.get(action.user) ?? Number.POSITIVE_INFINITY) <= action.at) {
      this.#revokedAt.delete(action.user);
    }
  }

  /** @param issuedAtMs undefined where the token doesn't say: it may be an old one then */
  isRevoked(user: string, issuedAtMs: number | undefined): boolean {
    const at = this.#revokedAt.get(user);
    if (at === undefined || at < this.sinceMs()) return false;
    return issuedAtMs === undefined || issuedAtMs <= at;
  }

  #sweep(): void {
    const since = this.sinceMs();
    for (const [user, at] of this.#revokedAt) if (at < since) this.#revokedAt.delete(user);
  }
}

/** The check of tokens, and after it of revocations. */
export function refuseRevoked(authenticate: Authenticate, revocations: Revocations): Authenticate {
  return async (token) => {
    const identity = await authenticate(token);
    if (revocations.isRevoked(identity.user, identity.issuedAtMs)) throw new AuthError('the token was revoked');
    return identity;
  };
}
