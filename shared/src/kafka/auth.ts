import type { SettingsOf } from '../runtime/settings.ts';
import type { KafkaOptions } from './client.ts';

type Auth = Pick<KafkaOptions, 'sasl' | 'ssl'>;

/**
 * How Kafka knows this process, for `createKafka`. With `msk-iam` each connection presents a token that the process's own AWS
 * role has signed, for 15 minutes; kafkajs asks for the next one before Kafka ends the session.
 */
export function kafkaAuth({ KAFKA_AUTH, AWS_REGION }: SettingsOf<'KAFKA_AUTH' | 'AWS_REGION'>): Auth {
  if (KAFKA_AUTH === 'none') return {};
  const oauthBearerProvider = async (): Promise<{ value: string }> => {
    // Only here: it brings half of the AWS SDK, which a process on one machine need not load.
    const { generateAuthToken } = await import('aws-msk-iam-sasl-signer-js');
    const { token } = await generateAuthToken({ region: AWS_REGION });
    return { value: token };
  };
  return { ssl: true, sasl: { mechanism: 'oauthbearer', oauthBearerProvider } };
}
