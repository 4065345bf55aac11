import { TOPICS } from '@restante/shared/contract/events';
import { openInbox } from '@restante/shared/inbox/open-inbox';
import { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import { kafkaAuth } from '@restante/shared/kafka/auth';
import { createKafka } from '@restante/shared/kafka/client';
import { registerLagGauge } from '@restante/shared/kafka/lag-gauge';
import { startLogConsumer } from '@restante/shared/kafka/log-consumer';
import { incomingTopic } from '@restante/shared/kafka/topics';
import { createProducer } from '@restante/shared/kafka/traced-producer';
import { startAdminServer } from '@restante/shared/runtime/admin-server';
import { startCloudWatchMetrics } from '@restante/shared/runtime/cloudwatch-metrics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import type { Logger } from '@restante/shared/runtime/logger';
import type { App } from '@restante/shared/runtime/service';
import { startTracing } from '@restante/shared/runtime/tracing';
import type { Config } from './config.ts';
import { Conversations } from './conversations.ts';
import { DedupeMemory } from './dedupe-memory.ts';
import { metrics } from './events.ts';
import { GatheredDue } from './gathered-due.ts';
import { History } from './history-dynamo.ts';
import { LogIdentity } from './log-identity-dynamo.ts';
import { type MessagingContext, onMessages } from './on-message.ts';
import { MessagingTraces } from './traces.ts';

export const GROUP = 'messaging';
const MAX_BATCH_RECORDS = 500;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Per partition: what was delivered and still waits for DynamoDB. Beyond it the log holds the rest. */
const MAX_UNFINISHED_BYTES = 32 * 1024 * 1024;

/** Wires messaging, top to bottom, and starts it. @throws Error naming the store that keeps it from starting */
export async function startMessaging(config: Config, logger: Logger): Promise<App> {
  const { redis, inbox } = openInbox(config, logger);
  const dynamo = createDynamo({ endpoint: config.DYNAMODB_ENDPOINT, region: config.AWS_REGION });
  const kafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.SERVICE_NAME,
    logger,
    ...kafkaAuth(config),
  });
  await redis.ready();
  const leases = new SlotLeases(redis, config.GATEWAY_SLOTS, logger);
  await leases.start();
  const topic = incomingTopic(config.INCOMING_EPOCH);
  const logIdentity = new LogIdentity(dynamo, topic, logger);
  await logIdentity.check(kafka);
  const conversations = new Conversations(dynamo);
  const memory = new DedupeMemory({
    conversations,
    kafka,
    redis,
    topic,
    epoch: config.INCOMING_EPOCH,
    seconds: config.DEDUPE_SECONDS,
    rereadSeconds: config.DEDUPE_REREAD_SECONDS,
    logger,
  });
  const tracing = await startTracing(config.SERVICE_NAME, config.OTEL_EXPORTER_OTLP_ENDPOINT);
  const traces = tracing && new MessagingTraces(tracing, config.INCOMING_EPOCH);
  const topics = [TOPICS.outgoing, TOPICS.deadLetters];
  const producer = createProducer({ kafka, logger, topics }, traces?.record);
  await producer.start();

  const context: MessagingContext = {
    inbox,
    dynamo,
    history: new History(dynamo),
    conversations,
    leases,
    memory,
    due: new GatheredDue(redis),
    producer,
    epoch: config.INCOMING_EPOCH,
    redeliverAfterMs: config.REDELIVER_AFTER_MS,
    notUrgentMs: config.PUSH_NOT_URGENT_MS,
    logger,
  };
  const consumer = await startLogConsumer({
    kafka,
    groupId: GROUP,
    topic,
    handle: async (batch) => {
      const traced = traces?.stored(batch);
      const { durable } = await onMessages(batch, context);
      const stored = durable.then(() => redis.replicated());
      // The caller sees to a failure; the batch is handled again then, and timed again.
      stored.then(
        () => {
          metrics.acceptedToStoredSeconds.observe(secondsSince(batch.records[0]?.timestamp));
          traced?.();
        },
        () => undefined,
      );
      return { durable: stored };
    },
    onAssigned: () => conversations.drop(),
    onFatal: (error) => {
      logger.fatal({ err: error }, 'the log is another one: set INCOMING_EPOCH to the next number to begin a new log');
      process.exit(1);
    },
    maxBatchRecords: MAX_BATCH_RECORDS,
    maxBatchBytes: MAX_BATCH_BYTES,
    maxUnfinishedBytes: MAX_UNFINISHED_BYTES,
    logger,
    events: {
      committed: (_topic, partition, offset) => logIdentity.committed(partition, offset),
      handleRetried: () => metrics.consumerRetries.inc(),
      restarted: () => metrics.consumerRestarts.inc(),
    },
  });
  registerLagGauge('messaging', () => consumer.lag());
  const readiness = () => {
    const reasons = [
      ...(consumer.ready() ? [] : ['the consumer has not joined its group']),
      ...(redis.isReady() ? [] : ['Redis is not connected']),
    ];
    return { ready: reasons.length === 0, reasons };
  };
  const admin = await startAdminServer({ host: config.HOST, port: config.ADMIN_PORT, readiness });
  const stopMetrics = startCloudWatchMetrics({ namespace: config.CLOUDWATCH_NAMESPACE, service: 'messaging' });
  logger.info({ admin: admin.url }, 'messaging runs');

  return {
    async stop() {
      await consumer.stop();
      await logIdentity.stop();
      await producer.stop();
      leases.stop();
      await tracing?.stop();
      await stopMetrics();
      await admin.close();
      await redis.close();
      dynamo.destroy();
    },
  };
}

/** By two clocks, the broker's and ours: never less than nothing. */
const secondsSince = (ms = Date.now()): number => Math.max(0, Date.now() - ms) / 1000;
