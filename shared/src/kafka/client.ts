import { Kafka, type KafkaConfig, type LogEntry, logLevel } from 'kafkajs';
import type { Logger } from 'pino';
import { fixKafkajs } from './kafkajs-fixes.ts';
import { ClientSockets } from './sockets.ts';

/** A request that has no answer by then has an unknown outcome. Joining a group has its own, longer, limit. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** kafkajs's own retries are few: the loops around it (producer, consumer, slot reader) are the ones that never end. */
export const KAFKAJS_RETRY = {
  initialRetryTime: 100,
  maxRetryTime: 1000,
  factor: 0.2,
  multiplier: 2,
  retries: 3,
} as const;

export type KafkaOptions = {
  brokers: readonly string[];
  clientId: string;
  logger: Logger;
  /** MSK IAM goes here: `{ mechanism: 'oauthbearer', oauthBearerProvider }`, together with `ssl: true`. */
  sasl?: NonNullable<KafkaConfig['sasl']>;
  ssl?: NonNullable<KafkaConfig['ssl']>;
};

const configs = new WeakMap<Kafka, KafkaConfig>();

/** A client for the given brokers. It connects to nothing before something is made from it. */
export function createKafka(options: KafkaOptions): Kafka {
  fixKafkajs();
  const config: KafkaConfig = {
    brokers: [...options.brokers],
    clientId: options.clientId,
    connectionTimeout: 3000,
    authenticationTimeout: 10_000,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: KAFKAJS_RETRY,
    logLevel: kafkajsLevel(options.logger),
    logCreator: () => (entry) => logTo(options.logger, entry),
    ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
    ...(options.ssl === undefined ? {} : { ssl: options.ssl }),
  };
  const kafka = new Kafka({ ...config, socketFactory: new ClientSockets().create });
  configs.set(kafka, config);
  return kafka;
}

export type OwnClient = { kafka: Kafka; destroy: () => void };

/**
 * A new client with the configuration of `kafka`, which shares nothing with it and can be cut off for good. Each producer
 * and consumer here has one: kafkajs keeps a group's committed offsets in the client and shares them between its
 * consumers, so that one that is slow to die could spoil its successor's.
 */
export function ownClient(kafka: Kafka, changes: Pick<KafkaConfig, 'retry'> = {}): OwnClient {
  const config = configs.get(kafka);
  if (config === undefined) throw new TypeError('this Kafka client was not made by createKafka');
  const sockets = new ClientSockets();
  return {
    kafka: new Kafka({ ...config, ...changes, socketFactory: sockets.create }),
    destroy: () => sockets.destroy(),
  };
}

/** kafkajs builds a log entry before it asks the logger, so what nobody will read is turned off at its source. */
function kafkajsLevel(logger: Logger): logLevel {
  if (logger.isLevelEnabled('trace')) return logLevel.DEBUG;
  return logger.isLevelEnabled('debug') ? logLevel.WARN : logLevel.NOTHING;
}

/** For debugging only: kafkajs calls an error what it retries, tens of lines a second while Kafka is away. Our loops report what matters. */
function logTo(logger: Logger, { namespace, level, log }: LogEntry): void {
  const { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...fields } = log;
  const entry = { ...fields, kafkajs: namespace };
  if (level === logLevel.ERROR || level === logLevel.WARN) logger.debug(entry, `kafkajs: ${message}`);
  else logger.trace(entry, `kafkajs: ${message}`);
}
