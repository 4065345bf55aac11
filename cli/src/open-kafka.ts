import { kafkaAuth } from '@restante/shared/kafka/auth';
import { createKafka } from '@restante/shared/kafka/client';
import type { SettingsOf } from '@restante/shared/runtime/settings';
import { pino } from 'pino';

/** Kafka as a command of the cli asks it: let in as the services are, and silent. */
export const openKafka = (
  command: string,
  brokers: readonly string[],
  settings: SettingsOf<'KAFKA_AUTH' | 'AWS_REGION'>,
) =>
  createKafka({
    brokers,
    clientId: `restante-${command}`,
    logger: pino({ level: 'silent' }),
    ...kafkaAuth(settings),
  });
