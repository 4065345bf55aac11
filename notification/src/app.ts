import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { TOPICS } from '@restante/shared/contract/events';
import { openInbox } from '@restante/shared/inbox/open-inbox';
import { ReceiptStore } from '@restante/shared/inbox/receipts-redis';
import { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import { AdminHolder } from '@restante/shared/kafka/admin-holder';
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
import { CommitBarrier } from './commit-barrier.ts';
import type { Config } from './config.ts';
import { CursorFlusher } from './cursors-dynamo.ts';
import { registerDueGauges } from './due-gauges.ts';
import { DueRefill } from './due-refill.ts';
import { DueWorker } from './due-worker.ts';
import { metrics } from './events.ts';
import { Members } from './members.ts';
import { onUserEvents } from './on-user-event.ts';
import { Operator } from './operator/operator.ts';
import { Presence } from './presence.ts';
import { ConsolePush } from './push-console.ts';
import { SnsPush } from './push-sns.ts';
import { Rebuilds } from './rebuilds.ts';
import { Receipts } from './receipts.ts';
import { Reconciler } from './reconciler.ts';
import { SeenDevices } from './seen-devices-dynamo.ts';
import { ackSteps, replaySteps } from './traces.ts';
import { Wakes } from './wakes.ts';
import { ReceiptLog } from './webhooks/receipt-log.ts';
import { Webhooks, webhookTarget } from './webhooks/webhooks.ts';

const GROUP = 'notification';
const MESSAGING_GROUP = 'messaging';
const MAX_BATCH_RECORDS = 500;
const MAX_BATCH_BYTES = 1024 * 1024;
/** Per partition: events whose cursors are not durable yet. */
const MAX_UNFINISHED_BYTES = 16 * 1024 * 1024;

/** Wires notification, top to bottom, and starts it. @throws Error naming the store that keeps it from starting */
export async function startNotification(config: Config, logger: Logger): Promise<App> {
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
  const incoming = incomingTopic(config.INCOMING_EPOCH);
  const tracing = await startTracing(config.SERVICE_NAME, config.OTEL_EXPORTER_OTLP_ENDPOINT);
  const topics = [incoming, TOPICS.outgoing, TOPICS.deadLetters, TOPICS.receipts];
  const producer = createProducer({ kafka, logger, topics }, tracing && replaySteps(tracing));
  await producer.start();

  const admin = new AdminHolder(kafka);
  const members = new Members(dynamo);
  const target = webhookTarget(config);
  const receipts = new Receipts({
    store: redis,
    receipts: new ReceiptStore(redis, dynamo),
    dynamo,
    members,
    leases,
    producer,
    logger,
    log: target && new ReceiptLog(producer),
  });
  const webhooks = target && new Webhooks({ kafka, producer, target, logger });
  const presence = new Presence({
    store: redis,
    members,
    leases,
    producer,
    logger,
    offlineAfterMs: config.PRESENCE_OFFLINE_AFTER_MS,
  });
  const seen = new SeenDevices(dynamo, logger);
  const flusher = new CursorFlusher(dynamo, inbox, seen, logger, (marks) =>
    // Whichever device acked it, the user has it.
    receipts.moved(
      marks.map(({ user, field, position }) => ({
        conversation: field.slice(field.indexOf('#') + 1),
        user,
        kind: 'delivered',
        position: Number(position),
      })),
    ),
  );
  receipts.start();
  const partitionFor = (conversation: string) => producer.partitionFor(incoming, conversation);
  const barrier = () => new CommitBarrier(admin, incoming, MESSAGING_GROUP, config.INCOMING_EPOCH);
  const rebuilds = new Rebuilds({ inbox, dynamo, barrier: barrier(), partitionFor, seen }, producer, logger);
  const reconciler = new Reconciler({
    ...{ inbox, dynamo, rebuilds, partitionFor, logger },
    // Of its own: it gives up sooner than a rebuild, whose rounds it must not end.
    barrier: barrier(),
    everyMs: config.RECONCILE_EACH_SECONDS * 1000,
    users: config.RECONCILE_USERS,
  });
  const sns = config.PUSH_PROVIDER === 'sns' ? snsPush(config, dynamo, logger) : undefined;
  const push = sns ?? new ConsolePush(config.DATA_DIR, logger);
  const wakes = new Wakes();
  const refill = new DueRefill(dynamo, redis, logger);
  const due = new DueWorker({
    refill,
    inbox,
    dynamo,
    leases,
    producer,
    rebuilds,
    push,
    wakes,
    rules: { redeliverAfterMs: config.REDELIVER_AFTER_MS, pushRepeatMs: config.PUSH_REPEAT_MS, random: Math.random },
    logger,
  });
  flusher.start();
  due.start();
  reconciler.start();
  await webhooks?.start();
  const context = { inbox, dynamo, producer, flusher, seen, rebuilds, wakes, presence, receipts, logger };
  const consumer = await startLogConsumer({
    kafka,
    groupId: GROUP,
    topic: TOPICS.userEvents,
    handle: async (batch) => {
      const steps = tracing && ackSteps(batch, tracing);
      const { durable } = await onUserEvents(batch, context);
      durable.then(
        () => steps?.forEach((step) => void step.end()),
        () => undefined,
      );
      return { durable: durable.then(() => redis.replicated()) };
    },
    onFatal: (error) => {
      logger.fatal({ err: error }, 'the log of user events is another one: the consumer group must be reset by hand');
      process.exit(1);
    },
    maxBatchRecords: MAX_BATCH_RECORDS,
    maxBatchBytes: MAX_BATCH_BYTES,
    maxUnfinishedBytes: MAX_UNFINISHED_BYTES,
    logger,
    events: {
      handleRetried: () => metrics.consumerRetries.inc(),
      restarted: () => metrics.consumerRestarts.inc(),
    },
  });
  registerLagGauge('notification', () => consumer.lag());
  const readiness = () => {
    const reasons = [
      ...(consumer.ready() ? [] : ['the consumer has not joined its group']),
      ...(redis.isReady() ? [] : ['Redis is not connected']),
    ];
    return { ready: reasons.length === 0, reasons };
  };
  const operator = new Operator({
    ...{ inbox, dynamo, leases, kafka, producer, incoming, partitionFor, logger },
    receipts: new ReceiptStore(redis, dynamo),
    token: config.ADMIN_TOKEN,
    showsBodies: config.OPERATOR_SHOWS_BODIES,
    operatorUser: config.OPERATOR_USER,
  });
  const { HOST: host, ADMIN_PORT: port } = config;
  const adminServer = await startAdminServer({ host, port, readiness, serve: operator.serve });
  registerDueGauges(redis);
  const stopMetrics = startCloudWatchMetrics({ namespace: config.CLOUDWATCH_NAMESPACE, service: 'notification' });
  logger.info({ admin: adminServer.url }, 'notification runs');

  return {
    async stop() {
      await due.stop();
      await webhooks?.stop();
      await reconciler.stop();
      await refill.stop();
      // The consumer's last batches are finished once their cursors are flushed.
      flusher.hurry();
      await consumer.stop();
      await flusher.stop();
      await seen.stop();
      await receipts.stop();
      presence.stop();
      sns?.stop();
      await rebuilds.stop();
      await producer.stop();
      leases.stop();
      await admin.close();
      await tracing?.stop();
      await stopMetrics();
      await adminServer.close();
      await redis.close();
      dynamo.destroy();
    },
  };
}

function snsPush(config: Config, dynamo: DynamoDBClient, logger: Logger): SnsPush {
  return new SnsPush({
    region: config.AWS_REGION,
    endpoint: config.SNS_ENDPOINT,
    applications: { apns: config.SNS_APNS_APPLICATION_ARN, fcm: config.SNS_FCM_APPLICATION_ARN },
    dynamo,
    logger,
  });
}
