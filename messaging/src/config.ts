import { INBOX_SETTINGS, REDIS_SETTINGS } from '@restante/shared/inbox/inbox-settings';
import { readSettings } from '@restante/shared/runtime/settings';

/** The settings of messaging, read once. @throws SettingsError naming each bad one. */
export function readConfig(env: Record<string, string | undefined>) {
  return readSettings(
    [
      'LOG_LEVEL',
      'SERVICE_NAME',
      'CLOUDWATCH_NAMESPACE',
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'HOST',
      'ADMIN_PORT',
      'KAFKA_BROKERS',
      'KAFKA_AUTH',
      ...REDIS_SETTINGS,
      'DYNAMODB_ENDPOINT',
      'AWS_REGION',
      'INCOMING_EPOCH',
      'GATEWAY_SLOTS',
      ...INBOX_SETTINGS,
      'DEDUPE_SECONDS',
      'DEDUPE_REREAD_SECONDS',
      'REDELIVER_AFTER_MS',
      'PUSH_NOT_URGENT_MS',
    ],
    env,
  );
}

export type Config = ReturnType<typeof readConfig>;
