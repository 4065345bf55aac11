import { expect, test } from 'vitest';
import { parseMetrics, sumOf } from './parse-metrics.ts';

const text = `# HELP lag how far behind
# TYPE lag gauge
lag{partition="0",topic="a,b"} 3
lag{partition="1",why="a \\"quoted\\" }"} 4 1700000000000
connections 12
nan NaN
inf +Inf
not a sample
`;

test('reads samples with and without labels', () => {
  const samples = parseMetrics(text);
  expect(samples[0]).toEqual({ name: 'lag', labels: { partition: '0', topic: 'a,b' }, value: 3 });
  expect(samples[1]?.labels.why).toBe('a "quoted" }');
  expect(sumOf(samples, 'lag')).toBe(7);
  expect(sumOf(samples, 'connections')).toBe(12);
  expect(sumOf(samples, 'absent')).toBeUndefined();
});
