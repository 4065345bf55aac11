import { createHistogram } from 'node:perf_hooks';

/** What is longer counts as this long. */
const LONGEST_MS = 3_600_000;
const MICROS = 1_000;

/** Latencies of a window of time, however many, in memory of a fixed size: to three figures. */
export class LatencyWindow {
  readonly #histogram = createHistogram({ lowest: 1, highest: LONGEST_MS * MICROS, figures: 3 });

  record(ms: number): void {
    this.#histogram.record(Math.round(Math.min(Math.max(ms, 1 / MICROS), LONGEST_MS) * MICROS));
  }

  /** The quantiles since the last call, and begins anew; nothing where nothing was recorded. */
  take<Name extends string>(quantiles: Record<Name, number>): Partial<Record<Name, number>> {
    const taken: Partial<Record<Name, number>> = {};
    if (this.#histogram.count > 0)
      for (const [name, share] of Object.entries(quantiles) as [Name, number][])
        taken[name] = this.#histogram.percentile(share * 100) / MICROS;
    this.#histogram.reset();
    return taken;
  }
}
