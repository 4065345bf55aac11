import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startTracing } from './tracing.ts';

test('without an endpoint there are no traces, and nothing of OpenTelemetry is loaded', async () => {
  expect(await startTracing('gateway', undefined)).toBeUndefined();
  // Whoever imports it does so by name here, and by nothing but an import() when it is asked for.
  const source = readFileSync(new URL('./tracing.ts', import.meta.url), 'utf8');
  expect(source).not.toMatch(/^import [^(]*(@opentelemetry|tracing-otel)/m);
  expect(source).toContain("await import('./tracing-otel.ts')");
});

test('with one, a step carries on the trace of the step before', async () => {
  const tracing = (await startTracing('gateway', 'http://127.0.0.1:1'))!;
  const first = tracing.begin('send', 'produce', undefined, {})!;
  const second = tracing.begin('store', 'consume', first.traceparent, {})!;
  expect(first.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(second.traceparent.slice(3, 35)).toBe(first.traceparent.slice(3, 35));
  const unsampled = first.traceparent.replace(/01$/, '00');
  expect(tracing.begin('store', 'consume', unsampled, {})).toBeUndefined();
  for (const bad of ['', 'x', `${first.traceparent}-more`])
    expect(tracing.begin('store', 'consume', bad, {})!.traceparent.slice(3, 35)).not.toBe(
      first.traceparent.slice(3, 35),
    );
});
