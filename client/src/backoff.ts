export type BackoffOptions = {
  /** The longest first wait, in milliseconds; each further one is twice as long. */
  baseMs: number;
  /** No wait is longer than this, in milliseconds. */
  maxMs: number;
};

export const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 2000, maxMs: 64_000 };

/**
 * How long to wait before the next try: full jitter over 2, 4, 8, 16 … s up to a bound, so that clients which lost the
 * same gateway don't come back together.
 * @param failures tries that failed in a row, from 1
 * @param random in [0, 1)
 * @param atLeastMs what the other side asked for (`retryAfterMs`); never cut short, the jitter comes on top
 */
export function backoffMs(
  failures: number,
  random: number,
  options: BackoffOptions = DEFAULT_BACKOFF,
  atLeastMs = 0,
): number {
  const ceiling = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30));
  const jittered = Math.floor(random * ceiling);
  return atLeastMs > 0 ? atLeastMs + Math.floor(random * Math.min(ceiling, atLeastMs)) : jittered;
}
