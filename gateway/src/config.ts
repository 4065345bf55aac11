import { readSettings } from '@restante/shared/runtime/settings';

/** The settings of a gateway, read once. @throws SettingsError naming each bad one. */
export function readConfig(env: Record<string, string | undefined>) {
  const config = readSettings(
    [
      'NODE_ENV',
      'LOG_LEVEL',
      'SERVICE_NAME',
      'CLOUDWATCH_NAMESPACE',
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'HOST',
      'PORT',
      'ADMIN_PORT',
      'KAFKA_BROKERS',
      'KAFKA_AUTH',
      'REDIS_URL',
      'REDIS_CLUSTER',
      'REDIS_USERNAME',
      'REDIS_PASSWORD',
      'DYNAMODB_ENDPOINT',
      'AWS_REGION',
      'INCOMING_EPOCH',
      'GATEWAY_SLOTS',
      'JWT_SECRET',
      'JWKS_URL',
      'JWT_AUDIENCE',
      'REVOCATION_SECONDS',
      'OPERATOR_USER',
      'INBOX_RETENTION_SECONDS',
      'INBOX_MAX_ENTRIES',
      'INBOX_MAX_BYTES',
      'WINDOW_ENTRIES',
      'WINDOW_BYTES',
      'DEVICE_RETENTION_SECONDS',
      'DEVICES_PER_USER',
      'CONNECT_PER_SECOND',
      'CONNECTIONS_PER_USER',
      'ALLOWED_ORIGINS',
      'RATE_CONNECT_PER_MINUTE',
      'BACKLOG_MAX_RECORDS',
      'CONVERSATIONS_PER_USER',
      'RATE_SEND_PER_SECOND',
      'RATE_SEND_BURST',
      'HEARTBEAT_SECONDS',
      'LEASE_MS',
      'DRAIN_MS',
      'DEMO_DIR',
    ],
    env,
  );
  return config;
}

export type Config = ReturnType<typeof readConfig>;
