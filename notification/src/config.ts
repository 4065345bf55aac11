import { INBOX_SETTINGS, REDIS_SETTINGS } from '@restante/shared/inbox/inbox-settings';
import { readSettings } from '@restante/shared/runtime/settings';

/** The settings of notification, read once. @throws SettingsError naming each bad one. */
export function readConfig(env: Record<string, string | undefined>) {
  return readSettings(
    [
      'LOG_LEVEL',
      'SERVICE_NAME',
      'CLOUDWATCH_NAMESPACE',
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'DATA_DIR',
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
      'ADMIN_TOKEN',
      'OPERATOR_USER',
      'OPERATOR_SHOWS_BODIES',
      'RECONCILE_EACH_SECONDS',
      'RECONCILE_USERS',
      'REDELIVER_AFTER_MS',
      'PUSH_REPEAT_MS',
      'PRESENCE_OFFLINE_AFTER_MS',
      'PUSH_PROVIDER',
      'SNS_ENDPOINT',
      'SNS_APNS_APPLICATION_ARN',
      'SNS_FCM_APPLICATION_ARN',
      'WEBHOOK_URL',
      'WEBHOOK_SECRET',
      'WEBHOOK_ATTEMPTS',
      'WEBHOOK_RETRY_MS',
    ],
    env,
  );
}

export type Config = ReturnType<typeof readConfig>;
