import { type DeadLetter, TOPICS } from '@restante/shared/contract/events';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import type { LogRecord } from '@restante/shared/kafka/log-record';
import { metrics } from './events.ts';

const DEAD_LETTER_PARTITION = 0;

/** Puts a record that can't be processed where an operator finds it. Resolves once it is safe: only then may its offset be committed. */
export async function deadLetter(
  producer: BatchingProducer,
  topic: string,
  partition: number,
  record: LogRecord,
  reason: string,
): Promise<void> {
  metrics.deadLetters.inc();
  const letter: DeadLetter = {
    source: `${topic}/${partition}/${record.offset}`,
    reason,
    at: Date.now(),
    topic,
    partition,
    offset: String(record.offset),
    key: record.key,
    valueBase64: record.value?.toString('base64') ?? null,
  };
  await producer.send(TOPICS.deadLetters, DEAD_LETTER_PARTITION, letter.source, JSON.stringify(letter));
}
