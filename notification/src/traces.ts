import type { LogBatch } from '@restante/shared/kafka/log-record';
import { type Step, TRACES_HEADER, type Tracing } from '@restante/shared/runtime/tracing';

/** Notification's steps in traces, the last ones: `ack`, until the cursor is durable. */
export function ackSteps({ records }: LogBatch, tracing: Tracing): Step[] {
  return records.flatMap(({ headers }) =>
    (headers[TRACES_HEADER]?.split(',') ?? []).flatMap((parent) => tracing.begin('ack', 'consume', parent, {}) ?? []),
  );
}
