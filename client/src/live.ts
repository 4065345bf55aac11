import type { Clock } from './environment.ts';

/** Names of what changed: a conversation's id, `conversations`, `outbox`, `arrivals`; `*` for anything. */
export type Topics = Iterable<string>;

/** Tells who watches that something in the store has changed. */
export class Changes {
  readonly #listeners = new Set<(topics: Set<string>) => void>();

  subscribe(listener: (topics: Set<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(topics: Topics): void {
    const set = new Set(topics);
    if (set.size === 0) return;
    for (const listener of [...this.#listeners]) listener(set);
  }
}

/** After a read a query rests for as long as the read took, at most this long: a flood must not be spent on showing it. */
const LONGEST_REST_MS = 100;

export type LiveQuery<T> = {
  clock: Clock;
  changes: Changes;
  /** Which changes concern it. */
  topics: readonly string[];
  read: () => Promise<T>;
  listener: (value: T) => void;
  onError: (error: unknown) => void;
};

/**
 * Reads now and after each change that concerns it, and hands the result on. Changes during a read make one more read,
 * however many they are, so a flood of messages costs no flood of reads.
 * @returns a function that ends it: the listener is not called after
 */
export function liveQuery<T>({ clock, changes, topics, read, listener, onError }: LiveQuery<T>): () => void {
  let ended = false;
  let dirty = true;
  let reading = false;
  const refresh = async (): Promise<void> => {
    if (reading) return;
    reading = true;
    while (dirty && !ended) {
      dirty = false;
      const startedAt = clock.now();
      try {
        const value = await read();
        if (!ended) listener(value);
      } catch (error) {
        if (!ended) onError(error);
      }
      const tookMs = clock.now() - startedAt;
      if (tookMs > 0) await new Promise<void>((resume) => clock.after(Math.min(tookMs, LONGEST_REST_MS), resume));
    }
    reading = false;
  };
  const unsubscribe = changes.subscribe((changed) => {
    if (!changed.has('*') && !topics.some((topic) => changed.has(topic))) return;
    dirty = true;
    void refresh();
  });
  void refresh();
  return () => {
    ended = true;
    unsubscribe();
  };
}

/** Lets a loop sleep until something has changed since it last looked. */
export class Waker {
  ended = false;
  #changed = false;
  #wake: () => void = () => {};
  readonly #unsubscribe: () => void;
  readonly #signal: AbortSignal | undefined;

  constructor(changes: Changes, topic: string, signal: AbortSignal | undefined) {
    this.#unsubscribe = changes.subscribe((changed) => {
      if (!changed.has('*') && !changed.has(topic)) return;
      this.#changed = true;
      this.#wake();
    });
    this.#signal = signal;
    signal?.addEventListener('abort', this.end);
    if (signal?.aborted) this.end();
  }

  /** From now on a change counts: called before the look. */
  rest(): void {
    this.#changed = false;
  }

  woken(): Promise<void> {
    if (this.#changed || this.ended) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  readonly end = (): void => {
    this.ended = true;
    this.#unsubscribe();
    this.#signal?.removeEventListener('abort', this.end);
    this.#wake();
  };
}
