import { kafkaAuth } from '@restante/shared/kafka/auth';
import { createKafka } from '@restante/shared/kafka/client';
import { ensureTopics, TOPIC_SETTINGS, topicSpecs } from '@restante/shared/kafka/topics';
import { createLogger } from '@restante/shared/runtime/logger';
import { readSettings } from '@restante/shared/runtime/settings';
import { prepareStores } from '../prepare-stores.ts';
import { ensurePushApplications } from './push-applications.ts';

/**
 * Makes what the services expect to find, and ends: `topics` (the deployment task in AWS, where the stacks made the rest), or
 * everything (the `init` service of compose.yaml). Both from the definitions in `shared/`.
 */
const logger = createLogger('init', process.env.LOG_LEVEL ?? 'info');
const what = process.argv[2] ?? 'all';

async function makeTopics(): Promise<void> {
  const settings = readSettings(['KAFKA_BROKERS', 'KAFKA_AUTH', 'AWS_REGION', ...TOPIC_SETTINGS], process.env);
  const kafka = createKafka({ brokers: settings.KAFKA_BROKERS, clientId: 'init', logger, ...kafkaAuth(settings) });
  const specs = topicSpecs(settings);
  await ensureTopics(kafka, specs);
  for (const { topic, partitions, replicationFactor } of specs)
    logger.info({ topic, partitions, replicationFactor }, 'topic is there');
}

async function makeAll(): Promise<void> {
  await prepareStores(process.env);
  logger.info('topics and tables are there');
  const { SNS_ENDPOINT, AWS_REGION } = readSettings(['SNS_ENDPOINT', 'AWS_REGION'], process.env);
  if (SNS_ENDPOINT === undefined) return;
  for (const arn of await ensurePushApplications(SNS_ENDPOINT, AWS_REGION))
    logger.info({ arn }, 'push application is there');
}

try {
  if (what === 'topics') await makeTopics();
  else if (what === 'all') await makeAll();
  else throw new Error(`init knows "topics" and "all", not "${what}"`);
} catch (error) {
  logger.fatal({ err: error }, 'init failed');
  process.exitCode = 1;
}
