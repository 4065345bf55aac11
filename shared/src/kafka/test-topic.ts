import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import { type Logger, pino } from 'pino';
import { createKafka } from './client.ts';
import { ensureTopics } from './topics.ts';

/** Set RESTANTE_TEST_LOG=debug to see what the module and kafkajs say during the integration tests. */
export const testLogger: Logger = pino({ level: process.env.RESTANTE_TEST_LOG ?? 'silent' });

/** A client for the Kafka that the global setup of the integration tests has started. */
export function testKafka(): Kafka {
  const brokers = process.env.KAFKA_BROKERS;
  if (brokers === undefined) throw new Error('KAFKA_BROKERS is not set: run by `npx vitest run --project integration`');
  return createKafka({ brokers: brokers.split(','), clientId: 'test', logger: testLogger });
}

/** Makes a topic of its own for a test. */
export async function testTopic(
  kafka: Kafka,
  partitions: number,
  config: Record<string, string> = {},
): Promise<string> {
  const topic = `test.${randomUUID()}`;
  await ensureTopics(kafka, [{ topic, partitions, replicationFactor: 1, config }]);
  return topic;
}
