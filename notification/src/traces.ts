import { entryPlace } from '@restante/shared/contract/entry';
import { decodeOutgoing, TOPICS } from '@restante/shared/contract/events';
import type { LogBatch } from '@restante/shared/kafka/log-record';
import type { TraceRecord } from '@restante/shared/kafka/traced-producer';
import { placeAttributes, type Step, TRACES_HEADER, type Tracing } from '@restante/shared/runtime/tracing';

/** Notification's steps in traces, the last ones: `ack`, until the cursor is durable. */
export function ackSteps({ records }: LogBatch, tracing: Tracing): Step[] {
  return records.flatMap(({ headers }) =>
    (headers[TRACES_HEADER]?.split(',') ?? []).flatMap((parent) => tracing.begin('ack', 'consume', parent, {}) ?? []),
  );
}

/**
 * `replay`, which begins a trace of its own, from a page's way to the gateway to the ack: entries keep no trace while they wait, so it is by
 * conversation and position that the trace is found in which they were stored.
 */
export function replaySteps(tracing: Tracing): TraceRecord {
  return (topic, value) => {
    if (topic !== TOPICS.outgoing) return undefined;
    const steps = decodeOutgoing(String(value)).entries.map((entry) => {
      const place = entryPlace(entry);
      return (
        place && tracing.begin('replay', 'produce', undefined, placeAttributes(place.conversation, place.position))
      );
    });
    if (steps.every((step) => step === undefined)) return undefined;
    return {
      headers: { [TRACES_HEADER]: steps.map((step) => step?.traceparent ?? '').join() },
      end: () => steps.forEach((step) => void step?.end()),
    };
  };
}
