import { createKafka } from '@restante/shared/kafka/client';
import { ensureTopics, topicSpecs } from '@restante/shared/kafka/topics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { createLogger } from '@restante/shared/runtime/logger';
import { readSettings } from '@restante/shared/runtime/settings';
import { ensureTables } from '@restante/shared/runtime/tables';

/** Makes the topics and the tables that are absent and checks the others, in the stores that `env` names. */
export async function prepareStores(env: Record<string, string | undefined>): Promise<void> {
  const settings = readSettings(
    [
      'KAFKA_BROKERS',
      'DYNAMODB_ENDPOINT',
      'AWS_REGION',
      'INCOMING_PARTITIONS',
      'USER_EVENT_PARTITIONS',
      'GATEWAY_SLOTS',
      'REPLICATION_FACTOR',
      'INCOMING_EPOCH',
      'DEDUPE_SECONDS',
    ],
    env,
  );
  const kafka = createKafka({
    brokers: settings.KAFKA_BROKERS,
    clientId: 'launcher',
    logger: createLogger('launcher', 'fatal'),
  });
  const dynamo = createDynamo({ endpoint: settings.DYNAMODB_ENDPOINT, region: settings.AWS_REGION });
  try {
    await Promise.all([ensureTopics(kafka, topicSpecs(settings)), ensureTables(dynamo)]);
  } finally {
    dynamo.destroy();
  }
}
