import { INBOX_SETTINGS, REDIS_SETTINGS } from '@restante/shared/inbox/inbox-settings';
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
      ...REDIS_SETTINGS,
      'DYNAMODB_ENDPOINT',
      'AWS_REGION',
      'INCOMING_EPOCH',
      'GATEWAY_SLOTS',
      'JWT_SECRET',
      'JWKS_URL',
      'JWT_AUDIENCE',
      'REVOCATION_SECONDS',
      'OPERATOR_USER',
      ...INBOX_SETTINGS,
      'WINDOW_BYTES',
      'CONNECT_PER_SECOND',
      'RATE_CONNECT_PER_MINUTE',
      'CONNECTIONS_PER_USER',
      'CONNECTIONS_PER_ADDRESS',
      'RATE_ACCEPT_PER_ADDRESS',
      'RATE_UNAUTHORIZED_PER_MINUTE',
      'RATE_FRAMES_PER_SECOND',
      'THROWN_OUT_SECONDS',
      'THROWN_OUT_TIMES',
      'TRUST_FORWARDED_FOR',
      'CONVERSATIONS_PER_USER',
      'ATTACHMENT_BUCKET',
      'ATTACHMENT_MAX_BYTES',
      'ATTACHMENT_TYPES',
      'ATTACHMENT_READ_URL',
      'RATE_ATTACHMENTS_PER_MINUTE',
      'S3_ENDPOINT',
      'ALLOWED_ORIGINS',
      'BACKLOG_PACED_RECORDS',
      'BACKLOG_MAX_RECORDS',
      'RATE_SEND_PER_SECOND',
      'RATE_SEND_BURST',
      'SEND_PER_SECOND',
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
