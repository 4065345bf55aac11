/**
 * OpenTelemetry traces of messages, from `send` to `ack`. Off unless an endpoint is set; then nothing of it is even loaded. Samplers,
 * headers and the like are as OpenTelemetry's own variables say (OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS …).
 */
export type Tracing = {
  /**
   * Begins a step in the life of a message. @param parent the step before, as a `traceparent` of W3C Trace Context
   * @returns undefined where this trace is not sampled
   */
  begin(name: string, kind: 'produce' | 'consume', parent: string | undefined, about: Attributes): Step | undefined;
  stop(): Promise<void>;
};
export type Attributes = Record<string, string | number>;
export type Step = { traceparent: string; end(): void };

/** Which message a step is about: what finds the replays of one that was stored in another trace. */
export const placeAttributes = (conversation: string, position: number): Attributes => ({
  'restante.conversation': conversation,
  'restante.position': position,
});

/** Headers of records: of one message, or of several, by commas. */
export const TRACE_HEADER = 'traceparent';
export const TRACES_HEADER = 'traceparents';

/** @param endpoint of OTLP over HTTP, as http://127.0.0.1:4318 */
export async function startTracing(service: string, endpoint: string | undefined): Promise<Tracing | undefined> {
  if (endpoint === undefined) return undefined;
  const { createTracing } = await import('./tracing-otel.ts');
  return createTracing(service, endpoint);
}
