import { murmur2 } from '@restante/shared/kafka/murmur2';

/** How finely the times at which keys are due differ: looking for them more often finds nothing. */
export const TICK_MS = 200;

/**
 * Values that wait by key, each until its key's own point of every period: what came in one burst is not due in one burst, and a key that
 * never rests is due once a period.
 */
export class Phased<V> {
  readonly #ticks: number;
  readonly #values = new Map<string, V>();
  readonly #due = new Map<number, string[]>();
  #next: number;

  /** @param periodMs the longest that a key waits, to the next tick */
  constructor(periodMs: number, nowMs = performance.now()) {
    this.#ticks = Math.ceil(periodMs / TICK_MS);
    this.#next = Math.floor(nowMs / TICK_MS);
  }

  get size(): number {
    return this.#values.size;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  /** A key that waits already keeps its time. */
  set(key: string, value: V, nowMs = performance.now()): void {
    if (!this.#values.has(key)) {
      const after = Math.floor(nowMs / TICK_MS) + 1;
      const phase = (murmur2(Buffer.from(key)) >>> 0) % this.#ticks;
      const tick = after + ((phase - (after % this.#ticks) + this.#ticks) % this.#ticks);
      const keys = this.#due.get(tick);
      if (keys) keys.push(key);
      else this.#due.set(tick, [key]);
    }
    this.#values.set(key, value);
  }

  /** @returns whether it waited */
  delete(key: string): boolean {
    return this.#values.delete(key);
  }

  /** Takes out at most `most`: those that are due, the longest due first, or any. */
  take(most: number, which: 'due' | 'any' = 'due', nowMs = performance.now()): [key: string, value: V][] {
    const taken: [string, V][] = [];
    const take = (key: string) => {
      taken.push([key, this.#values.get(key) as V]);
      this.#values.delete(key);
    };
    if (which === 'any') {
      for (const key of this.#values.keys()) {
        if (taken.length === most) return taken;
        take(key);
      }
    }
    for (const now = Math.floor(nowMs / TICK_MS); this.#next <= now; this.#next++) {
      const keys = this.#due.get(this.#next) ?? [];
      while (keys.length > 0) {
        if (taken.length === most) return taken;
        const key = keys.pop()!;
        // It may have been deleted meanwhile.
        if (this.#values.has(key)) take(key);
      }
      this.#due.delete(this.#next);
    }
    return taken;
  }
}
