/** The value that the given share of the samples doesn't exceed; NaN of none. */
export function quantile(sorted: Float64Array, share: number): number {
  return sorted.length === 0
    ? Number.NaN
    : (sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number);
}

export function sorted(samples: readonly number[]): Float64Array {
  return Float64Array.from(samples).sort();
}

export function median(samples: readonly number[]): number {
  const order = sorted(samples);
  const middle = order.length >> 1;
  return order.length % 2 === 1
    ? (order[middle] as number)
    : ((order[middle - 1] ?? Number.NaN) + (order[middle] ?? Number.NaN)) / 2;
}

export function round(value: number, digits = 1): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}
