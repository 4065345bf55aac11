import { MAX_FRAME_BYTES } from '@restante/shared/contract/client-frames';
import { CLOSE } from '@restante/shared/contract/codes';
import { decodeOutgoing, TOPICS } from '@restante/shared/contract/events';
import { Inbox } from '@restante/shared/inbox/inbox-redis';
import { POISON_RULE } from '@restante/shared/inbox/scripts';
import { kafkaAuth } from '@restante/shared/kafka/auth';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { startSlotReader } from '@restante/shared/kafka/slot-reader';
import { incomingTopic } from '@restante/shared/kafka/topics';
import { startAdminServer } from '@restante/shared/runtime/admin-server';
import { startCloudWatchMetrics } from '@restante/shared/runtime/cloudwatch-metrics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { RedisStore } from '@restante/shared/runtime/redis';
import type { App } from '@restante/shared/runtime/service';
import { createAuthenticate } from './auth.ts';
import { type FrameContext, onFrame } from './client-frames.ts';
import type { Config } from './config.ts';
import type { SocketData } from './connection.ts';
import { Connections } from './connections.ts';
import { createDeliver } from './deliver.ts';
import { metrics } from './events.ts';
import { onUpgrade } from './handshake.ts';
import { jsonRoute, sendJson, sendProblem } from './http.ts';
import { getSync, type InboxApi, postAck, postMessage } from './http-inbox.ts';
import { GatewayLog } from './log.ts';
import { TokenBucket, UserRateLimit } from './rate-limit.ts';
import { SendPath } from './send.ts';
import { SlotHolder } from './slot.ts';
import { loadUws, type Uws } from './uws.ts';

/** uWebSockets closes with 1006 beyond this, so the bound of the protocol is checked in the handler, below it. */
const MAX_PAYLOAD_BYTES = 4 * MAX_FRAME_BYTES;
/** LIBUS_LISTEN_EXCLUSIVE_PORT, which the types lack: two gateways on one port would share it in silence. */
const EXCLUSIVE_PORT = 1;
/** Frames that a client may send before its welcome, which waits for a rebuild at most. */
const MAX_EARLY_FRAMES = 256;

/** Wires a gateway, top to bottom, and starts it. @throws Error naming the setting or the store that keeps it from starting */
export async function startGateway(config: Config, logger: Logger): Promise<App> {
  const uws = await loadUws();
  const authenticate = createAuthenticate(config);
  const redis = new RedisStore({
    url: config.REDIS_URL,
    cluster: config.REDIS_CLUSTER,
    username: config.REDIS_USERNAME,
    password: config.REDIS_PASSWORD,
    logger,
  });
  const dynamo = createDynamo({ endpoint: config.DYNAMODB_ENDPOINT, region: config.AWS_REGION });
  const kafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.SERVICE_NAME,
    logger,
    ...kafkaAuth(config),
  });
  const inbox = new Inbox(redis, {
    retentionSeconds: config.INBOX_RETENTION_SECONDS,
    maxEntries: config.INBOX_MAX_ENTRIES,
    maxBytes: config.INBOX_MAX_BYTES,
    windowEntries: config.WINDOW_ENTRIES,
    deviceRetentionSeconds: config.DEVICE_RETENTION_SECONDS,
    maxDevices: config.DEVICES_PER_USER,
    poison: POISON_RULE,
  });
  await redis.ready();
  const producer = new BatchingProducer({
    kafka,
    logger,
    topics: [incomingTopic(config.INCOMING_EPOCH), TOPICS.userEvents],
    rejectQueuedWhenUnhealthy: true,
  });
  await producer.start();

  const log = new GatewayLog(producer, config.INCOMING_EPOCH);
  const sendPath = new SendPath(log, new UserRateLimit(config.RATE_SEND_PER_SECOND, config.RATE_SEND_BURST));
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
    windowBytes: config.WINDOW_BYTES,
    heartbeatSeconds: config.HEARTBEAT_SECONDS,
  });
  const frameContext: FrameContext = {
    slot: connections.slotNumber,
    windowBytes: config.WINDOW_BYTES,
    sendPath,
    log,
    refill: connections.refill,
    close: connections.close,
  };
  connections.onText = (connection, text) => onFrame(connection, text, frameContext);
  const deliver = createDeliver(connections.all, {
    windowEntries: config.WINDOW_ENTRIES,
    windowBytes: config.WINDOW_BYTES,
    now: Date.now,
    welcome: connections.welcome,
    refill: connections.refill,
    repeatAck: connections.repeatAck,
    close: connections.close,
  });
  function onRecords(records: { value: Buffer | null }[]): void {
    for (const { value } of records) {
      try {
        if (value) deliver(decodeOutgoing(value.toString('utf8')));
      } catch (error) {
        metrics.hintsDropped.inc({ reason: 'undecodable' });
        logger.error(
          { err: messageOf(error) },
          'an outgoing record could not be read: dropped, the inbox has what it carried',
        );
      }
    }
  }

  const api: InboxApi = { inbox, dynamo, log, sendPath };
  const admission = new TokenBucket(config.CONNECT_PER_SECOND, config.CONNECT_PER_SECOND, Date.now());
  const app = uws.App();
  app.ws<SocketData>('/v1/connect', {
    maxPayloadLength: MAX_PAYLOAD_BYTES,
    idleTimeout: Math.min(960, config.HEARTBEAT_SECONDS * 2),
    sendPingsAutomatically: true,
    compression: uws.DISABLED,
    maxBackpressure: 0,
    upgrade: (response, request, context) =>
      onUpgrade(response, request, context, {
        config,
        authenticate,
        inbox,
        dynamo,
        slot,
        admission,
        logger,
        opened: (connection, reply) => connections.opened(connection, reply),
        abandoned: (connection) => connections.abandoned(connection),
      }),
    open: (socket) => connections.attach(socket.getUserData().connection, socket),
    message: (socket, message, isBinary) => {
      const { connection } = socket.getUserData();
      if (message.byteLength > MAX_FRAME_BYTES)
        return connections.close(connection, CLOSE.tooBig.code, `a frame has at most ${MAX_FRAME_BYTES} bytes`);
      const text = isBinary ? '' : Buffer.from(message).toString('utf8');
      if (connection.gen !== undefined) return connections.onText(connection, text);
      connection.early ??= [];
      if (connection.early.push(text) > MAX_EARLY_FRAMES)
        connections.close(connection, CLOSE.protocol.code, 'too many frames before the welcome');
    },
    close: (socket, code) => connections.closed(socket.getUserData().connection, code),
  });
  app.post(
    '/v1/messages',
    jsonRoute('POST /v1/messages', authenticate, true, (call) => postMessage(call, api)),
  );
  app.post(
    '/v1/messages/ack',
    jsonRoute('POST /v1/messages/ack', authenticate, true, (call) => postAck(call, api)),
  );
  app.get(
    '/v1/messages/sync',
    jsonRoute('GET /v1/messages/sync', authenticate, false, (call) => getSync(call, api)),
  );
  const readiness = () => {
    const reasons = [
      ...(slot.ready() ? [] : ['no slot, or its reader is not positioned']),
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

  const listening = await listen(uws, app, config.HOST, config.PORT);
  const admin = await startAdminServer({ host: config.HOST, port: config.ADMIN_PORT, readiness });
  const stopMetrics = startCloudWatchMetrics({ namespace: config.CLOUDWATCH_NAMESPACE, service: 'gateway' });
  slot.start();
  connections.start();
  logger.info({ port: uws.us_socket_local_port(listening), admin: admin.url }, 'gateway listens');

  return {
    async stop() {
      uws.us_listen_socket_close(listening);
      await connections.drain(CLOSE.draining.code, 'the gateway is stopping', config.DRAIN_MS);
      connections.stop();
      await slot.stop();
      await producer.stop();
      await stopMetrics();
      await admin.close();
      await redis.close();
      dynamo.destroy();
    },
  };
}

function listen(uws: Uws, app: ReturnType<Uws['App']>, host: string, port: number): Promise<object> {
  return new Promise((resolve, reject) => {
    app.listen(host, port, EXCLUSIVE_PORT, (socket: object | false) => {
      if (socket) resolve(socket);
      else reject(new Error(`PORT=${port} is taken on ${host}: free it or set another`));
    });
  });
}
