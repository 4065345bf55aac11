import { LRUCache } from 'lru-cache';

/** A token bucket: `perSecond` tokens a second, at most `burst` of them. Time is an argument. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = nowMs;
  }

  /** Takes a token. @returns 0 where there was one, else in how many ms there will be. */
  take(nowMs: number): number {
    const waitMs = this.wait(nowMs);
    if (waitMs === 0) this.#tokens -= 1;
    return waitMs;
  }

  /** @returns what `take` would: nothing is taken */
  wait(nowMs: number): number {
    // A clock that was set back gives no tokens and takes none.
    this.#tokens = Math.min(this.#burst, this.#tokens + (Math.max(0, nowMs - this.#at) / 1000) * this.#perSecond);
    this.#at = nowMs;
    if (this.#tokens >= 1) return 0;
    return Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000);
  }
}

/** Buckets that are remembered; one forgotten starts full again, which only one among the least recent can be. */
const MAX_BUCKETS = 100_000;

/** A bucket for each of those who are limited: users, devices, addresses. */
export class RateLimits {
  readonly #buckets = new LRUCache<string, TokenBucket>({ max: MAX_BUCKETS });
  readonly #perSecond: number;
  readonly #burst: number;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
  }

  take(who: string, nowMs: number): number {
    let bucket = this.#buckets.get(who);
    if (!bucket) {
      bucket = new TokenBucket(this.#perSecond, this.#burst, nowMs);
      this.#buckets.set(who, bucket);
    }
    return bucket.take(nowMs);
  }

  /** @returns what `take` would: nothing is taken, nothing kept */
  wait(who: string, nowMs: number): number {
    return this.#buckets.get(who)?.wait(nowMs) ?? 0;
  }
}
