import { setMaxListeners } from 'node:events';

/** Resolves after `ms`, or at once where the signal is or gets aborted: who waits then looks at the signal. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (!signal) return;
    // Many may wait for one signal, each until its own end: Node takes more than ten for a leak, and says so in the log of whoever is throttled.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', end, { once: true });
  });
}

/** Exponential backoff with full jitter: between half and all of min(cap, base * 2^attempt), in ms. `random` is in [0, 1). */
export function backoffMs(attempt: number, baseMs: number, capMs: number, random: () => number = Math.random): number {
  const full = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(full * (0.5 + random() * 0.5));
}
