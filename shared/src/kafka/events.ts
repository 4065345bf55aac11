/**
 * What this folder reports; each service turns it into metrics. All are optional, called synchronously on hot paths (once
 * per batch, never per record), and must not throw.
 */
export type KafkaEvents = {
  /** A batch was acknowledged by all in-sync replicas, `ms` after it was handed over. */
  produced?: (topic: string, partition: number, records: number, bytes: number, ms: number) => void;
  /** A batch failed and is retried in place. */
  produceRetried?: (topic: string, partition: number, errorType: string, attempt: number) => void;
  /** Records were refused: the buffer is full, or Kafka is away. */
  produceRefused?: (topic: string, partition: number, code: string, records: number) => void;
  /** A batch was handled (its enqueue succeeded) in `ms`. */
  handled?: (topic: string, partition: number, records: number, ms: number) => void;
  /** A handler, or what it promised to make durable, failed and is tried again. */
  handleRetried?: (topic: string, partition: number, attempt: number, error: unknown) => void;
  committed?: (topic: string, partition: number, offset: number) => void;
  commitFailed?: (topic: string, errorType: string) => void;
  assigned?: (topic: string, partitions: readonly number[]) => void;
  /** A partition holds more unfinished bytes than it may: fetching it waits. */
  throttled?: (topic: string, partition: number) => void;
  /** The consumer crashed or made no progress, and is made anew. */
  restarted?: (topic: string, reason: string) => void;
  /** The log no longer has the records from `from` to `to`: retention was faster than the consumer. */
  jumped?: (topic: string, partition: number, from: number, to: number) => void;
  /** The log ends below what was consumed: it is another log. The consumer stops for good. */
  logReplaced?: (topic: string, partition: number, position: number, end: number) => void;
};
