import { openInbox } from '@restante/shared/inbox/open-inbox';
import type { TraceStores } from '@restante/shared/inbox/read-trace';
import { ReceiptStore } from '@restante/shared/inbox/receipts-redis';
import { partitionOfKey } from '@restante/shared/kafka/murmur2';
import { incomingTopic, logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import type { SettingsOf } from '@restante/shared/runtime/settings';
import { pino } from 'pino';
import type { SETTINGS } from '../commands/trace.ts';
import { openKafka } from '../open-kafka.ts';

const READY_MS = 10_000;

/** The stores as the services see them. @throws UnavailableError, KafkaJSError where one is not reachable */
export async function openStores(
  settings: SettingsOf<(typeof SETTINGS)[number]>,
): Promise<TraceStores & { close(): Promise<void> }> {
  const logger = pino({ level: 'silent' });
  const { redis, inbox } = openInbox(settings, logger);
  const dynamo = createDynamo({ endpoint: settings.DYNAMODB_ENDPOINT, region: settings.AWS_REGION });
  const close = async () => {
    await redis.close();
    dynamo.destroy();
  };
  const kafka = openKafka('trace', settings.KAFKA_BROKERS, settings);
  const topic = incomingTopic(settings.INCOMING_EPOCH);
  try {
    const [ends] = await Promise.all([withAdmin(kafka, (admin) => logEnds(admin, topic)), redis.ready(READY_MS)]);
    const partitionFor = (conversation: string) => partitionOfKey(conversation, ends.size);
    return { redis, inbox, dynamo, receipts: new ReceiptStore(redis, dynamo), partitionFor, close };
  } catch (error) {
    await close();
    throw error;
  }
}
