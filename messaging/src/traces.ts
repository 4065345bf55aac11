import { entryPlace } from '@restante/shared/contract/entry';
import { decodeOutgoing, TOPICS } from '@restante/shared/contract/events';
import { positionOf } from '@restante/shared/contract/ids';
import type { LogBatch } from '@restante/shared/kafka/log-record';
import type { TracedRecord } from '@restante/shared/kafka/traced-producer';
import {
  placeAttributes,
  type Step,
  TRACE_HEADER,
  TRACES_HEADER,
  type Tracing,
} from '@restante/shared/runtime/tracing';
import { LRUCache } from 'lru-cache';

const MAX_MESSAGES = 10_000;

/** Messaging's step in traces: `store`, from the batch to history and inbox; and whose trace an entry belongs to that goes to gateways. */
export class MessagingTraces {
  readonly #tracing: Tracing;
  readonly #epoch: number;
  /** By conversation and position. */
  readonly #parents = new LRUCache<string, string>({ max: MAX_MESSAGES });

  constructor(tracing: Tracing, epoch: number) {
    this.#tracing = tracing;
    this.#epoch = epoch;
  }

  /** @returns ends the steps, once the batch is durable */
  stored({ records }: LogBatch): () => void {
    const steps = records.flatMap(({ headers, offset, key }): Step[] => {
      const parent = headers[TRACE_HEADER];
      const position = positionOf(this.#epoch, offset);
      const step = parent && this.#tracing.begin('store', 'consume', parent, placeAttributes(key ?? '', position));
      if (!step) return [];
      this.#parents.set(`${key} ${position}`, step.traceparent);
      return [step];
    });
    return () => {
      for (const step of steps) step.end();
    };
  }

  readonly record = (topic: string, value: string | Buffer): TracedRecord | undefined => {
    if (topic !== TOPICS.outgoing || this.#parents.size === 0) return undefined;
    const parents = decodeOutgoing(String(value)).entries.map((entry) => {
      const place = entryPlace(entry);
      return (place && this.#parents.get(`${place.conversation} ${place.position}`)) ?? '';
    });
    return parents.some((parent) => parent !== '') ? { headers: { [TRACES_HEADER]: parents.join() } } : undefined;
  };
}
