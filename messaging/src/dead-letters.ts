import { TOPICS } from '@restante/shared/contract/events';
import { recordLetter } from '@restante/shared/delivery/dead-letter';
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
  const letter = recordLetter(topic, partition, record, reason, Date.now());
  await producer.send(TOPICS.deadLetters, DEAD_LETTER_PARTITION, letter.source, JSON.stringify(letter));
}
