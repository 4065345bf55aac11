import { LRUCache } from 'lru-cache';
import { metrics } from './events.ts';

/** A connection within this of a push counts as brought by it. */
const WOKEN_WITHIN_MS = 60_000;
const MAX_REMEMBERED = 100_000;

/** Whether pushes bring people back: each user who was pushed and connects within a minute counts once. As far as this process saw both. */
export class Wakes {
  readonly #pushed = new LRUCache<string, number>({ max: MAX_REMEMBERED, ttl: WOKEN_WITHIN_MS });

  pushed(user: string): void {
    metrics.usersPushed.inc();
    this.#pushed.set(user, Date.now());
  }

  connected(user: string): void {
    if (this.#pushed.delete(user)) metrics.wakes.inc();
  }
}
