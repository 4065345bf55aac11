import { BatchingProducer, type BatchingProducerOptions } from './batching-producer.ts';

/** What goes with a record on its way, and what to do when it is in the log or was refused. */
export type TracedRecord = { headers: Record<string, string>; end?: () => void };
export type TraceRecord = (topic: string, value: string | Buffer) => TracedRecord | undefined;

/** A producer that lets somebody look at each record first. In use only where traces are on. */
class TracedProducer extends BatchingProducer {
  readonly #trace: TraceRecord;

  constructor(options: BatchingProducerOptions, trace: TraceRecord) {
    super(options);
    this.#trace = trace;
  }

  override send(topic: string, partition: number, key: string | null, value: string | Buffer): Promise<void> {
    const traced = this.#trace(topic, value);
    if (!traced) return super.send(topic, partition, key, value);
    const sent = super.send(topic, partition, key, value, traced.headers);
    if (traced.end) sent.then(traced.end, traced.end);
    return sent;
  }
}

/** @param trace undefined where traces are off: then it is the plain one */
export const createProducer = (options: BatchingProducerOptions, trace: TraceRecord | undefined): BatchingProducer =>
  trace ? new TracedProducer(options, trace) : new BatchingProducer(options);
