import { CONSUMER_GROUPS } from '@restante/shared/contract/events';
import { createKafka } from '@restante/shared/kafka/client';
import { ensureTopics, TOPIC_SETTINGS, TopicMismatchError, topicSpecs, withAdmin } from '@restante/shared/kafka/topics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { createLogger } from '@restante/shared/runtime/logger';
import { readSettings } from '@restante/shared/runtime/settings';
import { sleep } from '@restante/shared/runtime/sleep';
import { ensureTables, TableMismatchError } from '@restante/shared/runtime/tables';

const TRIES = 5;
const RETRY_MS = 500;

/** Makes the topics and the tables that are absent and checks the others, in the stores that `env` names. */
export async function prepareStores(env: Record<string, string | undefined>): Promise<void> {
  const settings = readSettings(['KAFKA_BROKERS', 'DYNAMODB_ENDPOINT', 'AWS_REGION', ...TOPIC_SETTINGS], env);
  const kafka = createKafka({
    brokers: settings.KAFKA_BROKERS,
    clientId: 'launcher',
    logger: createLogger('launcher', 'fatal'),
  });
  const dynamo = createDynamo({ endpoint: settings.DYNAMODB_ENDPOINT, region: settings.AWS_REGION });
  try {
    await patiently(() => Promise.all([ensureTopics(kafka, topicSpecs(settings)), ensureTables(dynamo)]));
    // A Kafka that does not answer here is no reason to stop: the consumers ask again for ever, and warn.
    await patiently(() => askForGroups(kafka)).catch(() => {});
  } finally {
    dynamo.destroy();
  }
}

/**
 * A new Kafka makes the place where groups keep their offsets when it is asked for one, and refuses until that is there: so it is asked
 * before the consumers are, who would warn of it.
 */
const askForGroups = (kafka: ReturnType<typeof createKafka>): Promise<unknown> =>
  withAdmin(kafka, (admin) =>
    Promise.all(Object.keys(CONSUMER_GROUPS).map((groupId) => admin.fetchOffsets({ groupId }))),
  );

/** A broker that has just started may not know a topic yet that it has just made. What doesn't match won't match later either. */
async function patiently(work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await work();
      return;
    } catch (error) {
      if (attempt === TRIES || error instanceof TopicMismatchError || error instanceof TableMismatchError) throw error;
      await sleep(RETRY_MS * attempt);
    }
  }
}
