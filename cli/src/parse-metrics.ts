export type Sample = { name: string; labels: Record<string, string>; value: number };

/** The samples of a text in Prometheus's exposition format; comments and lines that are none are passed over. */
export function parseMetrics(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (match === null || line.startsWith('#')) return [];
    const value = Number(match[3]);
    return Number.isNaN(value) ? [] : [{ name: match[1] as string, labels: parseLabels(match[2] ?? ''), value }];
  });
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    if (name !== undefined && value !== undefined)
      labels[name] = value.replace(/\\(.)/g, (_all, char: string) => (char === 'n' ? '\n' : char));
  }
  return labels;
}

/** The sum over all label values, or undefined where there is no such metric. */
export function sumOf(samples: readonly Sample[], name: string): number | undefined {
  const found = samples.filter((sample) => sample.name === name);
  return found.length === 0 ? undefined : found.reduce((sum, sample) => sum + sample.value, 0);
}
