import { CONSUMER_GROUPS } from '@restante/shared/contract/events';
import { committed, logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { readSettings } from '@restante/shared/runtime/settings';
import { openKafka } from './open-kafka.ts';

/**
 * How many records each durable group has not committed yet. A group that never committed has all of them to do.
 * @throws SettingsError, KafkaJSError where Kafka does not answer
 */
export async function consumerLags(
  brokers: string,
  env: Record<string, string | undefined>,
): Promise<Record<string, number>> {
  const kafka = openKafka('status', brokers.split(','), readSettings(['KAFKA_AUTH', 'AWS_REGION'], env));
  return withAdmin(kafka, async (admin) => {
    const lags = Object.entries(CONSUMER_GROUPS).map(async ([group, topic]): Promise<[string, number]> => {
      const [ends, done] = await Promise.all([logEnds(admin, topic), committed(admin, group, topic)]);
      return [group, lagOf(ends, done)];
    });
    return Object.fromEntries(await Promise.all(lags));
  });
}

/** @param ends the next offset of each partition @param done what is committed; partitions without a commit are missing */
export function lagOf(ends: ReadonlyMap<number, number>, done: ReadonlyMap<number, number>): number {
  let lag = 0;
  for (const [partition, end] of ends) lag += Math.max(0, end - (done.get(partition) ?? 0));
  return lag;
}
