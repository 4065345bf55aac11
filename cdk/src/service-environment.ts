import * as ssm from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';
import { REPLICATION_FACTOR } from './broker-stack.ts';
import type { Environment } from './environment.ts';
import { metricsNamespace } from './metrics.ts';
import { ADMIN_PORT, GATEWAY_PORT } from './network-stack.ts';
import type { ServicesProps } from './services-stack.ts';
import { type PushPlatform, parameterName, type ServiceName } from './stages.ts';
import { DATA_DIRECTORY } from './task.ts';

/** What each process is told. Settings that are not here keep the default of `shared/src/runtime/settings.ts`. */
export function commonEnvironment(props: ServicesProps, service: ServiceName): Environment {
  const { stage, cache } = props;
  return {
    ...kafkaEnvironment(props),
    SERVICE_NAME: service,
    CLOUDWATCH_NAMESPACE: metricsNamespace(stage),
    DATA_DIR: DATA_DIRECTORY,
    // Every address of the task's own network interface, which only its security group lets anyone reach.
    HOST: '0.0.0.0',
    PORT: String(GATEWAY_PORT),
    ADMIN_PORT: String(ADMIN_PORT),
    REDIS_URL: cache.url,
    REDIS_CLUSTER: 'true',
    REDIS_USERNAME: service,
  };
}

/** All that the task needs which makes the topics; services check what they find against the same numbers. */
export function topicsEnvironment(props: ServicesProps): Environment {
  return { ...kafkaEnvironment(props), SERVICE_NAME: 'topics', REPLICATION_FACTOR: String(REPLICATION_FACTOR) };
}

function kafkaEnvironment({ stage, broker }: ServicesProps): Environment {
  const { topics } = stage;
  return {
    NODE_ENV: 'production',
    AWS_REGION: stage.region,
    KAFKA_BROKERS: broker.bootstrapBrokers,
    KAFKA_AUTH: 'msk-iam',
    INCOMING_PARTITIONS: String(topics.incomingPartitions),
    USER_EVENT_PARTITIONS: String(topics.userEventPartitions),
    GATEWAY_SLOTS: String(topics.gatewaySlots),
    INCOMING_EPOCH: String(topics.epoch),
  };
}

export function gatewayEnvironment(scope: Construct, { stage }: ServicesProps): Environment {
  return {
    JWKS_URL: ssm.StringParameter.valueForStringParameter(scope, parameterName(stage.name, 'jwks-url')),
    ALLOWED_ORIGINS: ssm.StringParameter.valueForStringParameter(scope, parameterName(stage.name, 'allowed-origins')),
  };
}

const APPLICATION_SETTINGS = {
  APNS: 'SNS_APNS_APPLICATION_ARN',
  APNS_SANDBOX: 'SNS_APNS_APPLICATION_ARN',
  GCM: 'SNS_FCM_APPLICATION_ARN',
} as const satisfies Record<PushPlatform, keyof Environment>;

export function notificationEnvironment(_scope: Construct, { push }: ServicesProps): Environment {
  if (push === undefined) return { PUSH_PROVIDER: 'console' };
  const applications = push.applications.map(({ platform, arn }) => [APPLICATION_SETTINGS[platform], arn]);
  return { PUSH_PROVIDER: 'sns', ...Object.fromEntries(applications) };
}
