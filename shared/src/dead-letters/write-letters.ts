import { type DeadLetter, TOPICS } from '../contract/events.ts';
import { recordLetter } from '../delivery/dead-letter.ts';
import type { BatchingProducer } from '../kafka/batching-producer.ts';
import type { LogBatch, LogRecord } from '../kafka/log-record.ts';

/** The topic's only one: letters and their marks stay in the order in which they were written. */
export const DEAD_LETTER_PARTITION = 0;

/** Puts a letter where an operator finds it. Resolves once it is safe: only then may what it tells of be committed. */
export function writeLetter(
  producer: BatchingProducer,
  letter: DeadLetter,
  topic: string = TOPICS.deadLetters,
): Promise<void> {
  return producer.send(topic, DEAD_LETTER_PARTITION, letter.source, JSON.stringify(letter));
}

/** Writes the letter of a record that can't be processed. */
export function buryRecord(
  producer: BatchingProducer,
  { topic, partition }: LogBatch,
  record: LogRecord,
  reason: string,
  letters?: string,
): Promise<void> {
  return writeLetter(producer, recordLetter(topic, partition, record, reason, Date.now()), letters);
}
