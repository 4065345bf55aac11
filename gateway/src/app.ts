import { CLOSE } from '@restante/shared/contract/codes';
import { decodeOutgoing, TOPICS } from '@restante/shared/contract/events';
import { openInbox, prefetchOf } from '@restante/shared/inbox/open-inbox';
import { ReceiptStore } from '@restante/shared/inbox/receipts-redis';
import { kafkaAuth } from '@restante/shared/kafka/auth';
import { createKafka } from '@restante/shared/kafka/client';
import type { LogRecord } from '@restante/shared/kafka/log-record';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { incomingTopic } from '@restante/shared/kafka/topics';
import { createProducer } from '@restante/shared/kafka/traced-producer';
import { startAdminServer } from '@restante/shared/runtime/admin-server';
import { startCloudWatchMetrics } from '@restante/shared/runtime/cloudwatch-metrics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { App } from '@restante/shared/runtime/service';
import { startTracing } from '@restante/shared/runtime/tracing';
import { boundAccepts } from './addresses.ts';
import { createAuthenticate } from './auth.ts';
import { Backlog } from './backlog.ts';
import { PendingCalls } from './calls.ts';
import { type FrameContext, onFrame } from './client-frames.ts';
import type { Config } from './config.ts';
import { Connections } from './connections.ts';
import { createDeliver } from './deliver.ts';
import { serveDemo } from './demo.ts';
import { metrics } from './events.ts';
import { Guard } from './guard.ts';
import { sendJson, sendProblem } from './http.ts';
import { serveApi } from './http-api.ts';
import type { AttachmentsApi } from './http-attachments.ts';
import { timeDelivery } from './latencies.ts';
import { GatewayLog } from './log.ts';
import { OperatorOrders } from './operator-orders.ts';
import { RateLimits } from './rate-limit.ts';
import { Revocations, refuseRevoked } from './revocations.ts';
import { SendPath } from './send.ts';
import { SlotHolder } from './slot.ts';
import { serveSockets } from './sockets.ts';
import { GatewayTraces } from './traces.ts';
import { loadUws, type Uws } from './uws.ts';

/** LIBUS_LISTEN_EXCLUSIVE_PORT, which the types lack: two gateways on one port would share it in silence. */
const EXCLUSIVE_PORT = 1;
/** Wires a gateway, top to bottom, and starts it. @throws Error naming the setting or the store that keeps it from starting */
export async function startGateway(config: Config, logger: Logger): Promise<App> {
  const uws = await loadUws();
  const incoming = incomingTopic(config.INCOMING_EPOCH);
  const revocations = new Revocations(config.REVOCATION_SECONDS);
  const authenticate = refuseRevoked(createAuthenticate(config), revocations);
  const { redis, inbox } = openInbox(config, logger);
  const dynamo = createDynamo({ endpoint: config.DYNAMODB_ENDPOINT, region: config.AWS_REGION });
  const kafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.SERVICE_NAME,
    logger,
    ...kafkaAuth(config),
  });
  await redis.ready();
  const tracing = await startTracing(config.SERVICE_NAME, config.OTEL_EXPORTER_OTLP_ENDPOINT);
  const traces = tracing && new GatewayTraces(tracing, incoming);
  const topics = [incoming, TOPICS.userEvents];
  const producer = createProducer({ kafka, logger, topics, rejectQueuedWhenUnhealthy: true }, traces?.record);
  await producer.start();

  const backlog = new Backlog({
    ...{ kafka, topic: incoming, logger },
    pacedRecords: config.BACKLOG_PACED_RECORDS,
    maxRecords: config.BACKLOG_MAX_RECORDS,
  });
  const log = new GatewayLog(producer, config.INCOMING_EPOCH, backlog);
  const sendPath = new SendPath(log, {
    perSecond: config.RATE_SEND_PER_SECOND,
    burst: config.RATE_SEND_BURST,
    ofAllPerSecond: config.SEND_PER_SECOND,
  });
  const guard = new Guard(config, Date.now());
  const slot: SlotHolder = new SlotHolder({
    store: redis,
    slots: config.GATEWAY_SLOTS,
    leaseMs: config.LEASE_MS,
    logger,
    startReader: (partition) =>
      startSlotReader({ kafka, topic: TOPICS.outgoing, partition, handle: onRecords, logger, onLost: () => {} }),
    onLost: () => connections.drain(CLOSE.draining.code, 'the gateway starts over', config.DRAIN_MS),
  });
  const connections = new Connections({
    inbox,
    log,
    slot,
    logger,
    windowEntries: config.WINDOW_ENTRIES,
    prefetchEntries: prefetchOf(config),
    windowBytes: config.WINDOW_BYTES,
    heartbeatSeconds: config.HEARTBEAT_SECONDS,
    guard,
  });
  const orders = new OperatorOrders({
    ...{ kafka, connections, log, slot, revocations, logger },
    drainMs: config.DRAIN_MS,
    operatorUser: config.OPERATOR_USER,
  });
  const calls = new PendingCalls(connections.slotNumber);
  const frameContext: FrameContext = {
    slot: connections.slotNumber,
    lease: () => slot.current()?.lease ?? '',
    ...connections.window,
    sendPath,
    log,
    guard,
    refill: connections.refill,
    throwOut: connections.throwOut,
  };
  connections.onText = (connection, text) => onFrame(connection, text, frameContext);
  const deliver = createDeliver(connections.all, {
    ...connections.window,
    now: Date.now,
    answerCall: (op) => calls.answer(op),
    welcome: connections.welcome,
    refill: connections.refill,
    repeatAck: connections.repeatAck,
    close: connections.close,
  });
  function onRecords(records: readonly LogRecord[]): void {
    for (const { value, headers } of records) {
      try {
        if (!value) continue;
        const record = decodeOutgoing(value.toString('utf8'));
        deliver(record);
        timeDelivery(record, connections.all, Date.now());
        traces?.delivered(record, headers);
      } catch (error) {
        metrics.hintsDropped.inc({ reason: 'undecodable' });
        logger.error(
          { err: messageOf(error) },
          'an outgoing record could not be read: dropped, the inbox has what it carried',
        );
      }
    }
  }

  const app = uws.App();
  // Behind a load balancer all of them come from its address.
  if (!config.TRUST_FORWARDED_FOR) boundAccepts(app, config.RATE_ACCEPT_PER_ADDRESS);
  serveSockets(app, uws, connections, {
    config,
    authenticate,
    inbox,
    dynamo,
    logEnds: log.ends,
    slot,
    orders,
    revocations,
    addresses: connections.addresses,
    guard,
    logger,
    opened: (connection, reply) => connections.opened(connection, reply),
    abandoned: (connection) => connections.abandoned(connection),
    anySocket: () => connections.anySocket(),
  });
  const door = { authenticate, guard, trustsForwardedFor: config.TRUST_FORWARDED_FOR };
  serveApi(app, door, {
    inbox,
    dynamo,
    log,
    sendPath,
    calls,
    receipts: new ReceiptStore(redis, dynamo),
    maxConversations: config.CONVERSATIONS_PER_USER,
    ...(await attachments(config)),
    partitionFor: (conversation) => producer.partitionFor(incoming, conversation),
  });
  await serveDemo(app, config);
  const readiness = () => {
    const reasons = [
      ...(slot.ready() ? [] : ['no slot, or its reader is not positioned']),
      ...(orders.ready() ? [] : ['revocations are not read yet']),
      ...(orders.draining() ? ['drained by an operator'] : []),
      ...(redis.isReady() ? [] : ['Redis is not connected']),
    ];
    return { ready: reasons.length === 0, reasons };
  };
  app.get('/healthz', (response) => sendJson(response, 200, { ok: true }));
  app.get('/readyz', (response) => {
    const state = readiness();
    sendJson(response, state.ready ? 200 : 503, state);
  });
  app.any('/*', (response) => sendProblem(response, 404, 'bad_frame', 'no such path'));

  const listening = await listen(app, config.HOST, config.PORT);
  const admin = await startAdminServer({ host: config.HOST, port: config.ADMIN_PORT, readiness });
  const stopMetrics = startCloudWatchMetrics({ namespace: config.CLOUDWATCH_NAMESPACE, service: 'gateway' });
  slot.start();
  orders.start();
  backlog.start();
  connections.start();
  logger.info({ port: uws.us_socket_local_port(listening), admin: admin.url }, 'gateway listens');

  return {
    async stop() {
      uws.us_listen_socket_close(listening);
      connections.drain(CLOSE.draining.code, 'the gateway is stopping', config.DRAIN_MS);
      connections.stop();
      await orders.stop();
      await slot.stop();
      await backlog.stop();
      await producer.stop();
      await tracing?.stop();
      await stopMetrics();
      await admin.close();
      await redis.close();
      dynamo.destroy();
    },
  };
}

/** What signs uploads takes some memory: only where there is a bucket. */
async function attachments(config: Config): Promise<AttachmentsApi> {
  const { ATTACHMENT_BUCKET: bucket, ATTACHMENT_MAX_BYTES: maxBytes, ATTACHMENT_TYPES: types } = config;
  const perMinute = config.RATE_ATTACHMENTS_PER_MINUTE;
  const uploads =
    bucket === undefined ? undefined : new (await import('./uploads-s3.ts')).Uploads({ ...config, bucket });
  return { uploads, uploadRate: new RateLimits(perMinute / 60, perMinute), uploadLimits: { maxBytes, types } };
}

function listen(app: ReturnType<Uws['App']>, host: string, port: number): Promise<object> {
  return new Promise((resolve, reject) => {
    app.listen(host, port, EXCLUSIVE_PORT, (socket: object | false) => {
      if (socket) resolve(socket);
      else reject(new Error(`PORT=${port} is taken on ${host}: free it or set another`));
    });
  });
}
