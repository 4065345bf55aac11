import type { ServiceName } from '@restante/shared/runtime/permissions';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';
import { attachmentsBucketName } from './attachments-stack.ts';
import { REPLICATION_FACTOR } from './broker-stack.ts';
import type { Environment } from './environment.ts';
import { metricsNamespace } from './metrics.ts';
import { ADMIN_PORT, GATEWAY_PORT } from './network-stack.ts';
import type { ServicesProps } from './services-stack.ts';
import { type PushPlatform, parameterName } from './stages.ts';
import { DATA_DIRECTORY } from './task.ts';

/** What each process is told. Settings that are not here keep the default of `shared/src/runtime/settings.ts`. */
export function serviceEnvironment(scope: Construct, service: ServiceName, props: ServicesProps): Environment {
  const own = { gateway: gatewayEnvironment, messaging: () => ({}), notification: notificationEnvironment }[service];
  return {
    ...logEnvironment(props),
    SERVICE_NAME: service,
    CLOUDWATCH_NAMESPACE: metricsNamespace(props.stage),
    // Every address of the task's own network interface, which only its security group lets anyone reach.
    HOST: '0.0.0.0',
    ADMIN_PORT: String(ADMIN_PORT),
    REDIS_URL: props.cache.url,
    REDIS_CLUSTER: 'true',
    REDIS_USERNAME: service,
    ...own(scope, props),
  };
}

/** All that the task needs which makes the topics. */
export function topicsEnvironment(props: ServicesProps): Environment {
  const { topics } = props.stage;
  return {
    ...logEnvironment(props),
    INCOMING_PARTITIONS: String(topics.incomingPartitions),
    USER_EVENT_PARTITIONS: String(topics.userEventPartitions),
    REPLICATION_FACTOR: String(REPLICATION_FACTOR),
  };
}

function logEnvironment({ stage, broker }: ServicesProps): Environment {
  return {
    NODE_ENV: 'production',
    AWS_REGION: stage.region,
    KAFKA_BROKERS: broker.bootstrapBrokers,
    KAFKA_AUTH: 'msk-iam',
    GATEWAY_SLOTS: String(stage.topics.gatewaySlots),
    INCOMING_EPOCH: String(stage.topics.epoch),
  };
}

function gatewayEnvironment(scope: Construct, { stage }: ServicesProps): Environment {
  return {
    ...(stage.attachments ? { ATTACHMENT_BUCKET: attachmentsBucketName(scope, stage) } : {}),
    PORT: String(GATEWAY_PORT),
    // A gateway's clients come back over half a minute: its successors admit CONNECT_PER_SECOND each.
    DRAIN_MS: '30000',
    JWKS_URL: ssm.StringParameter.valueForStringParameter(scope, parameterName(stage.name, 'jwks-url')),
    ALLOWED_ORIGINS: ssm.StringParameter.valueForStringParameter(scope, parameterName(stage.name, 'allowed-origins')),
  };
}

const APPLICATION_SETTINGS = {
  APNS: 'SNS_APNS_APPLICATION_ARN',
  APNS_SANDBOX: 'SNS_APNS_APPLICATION_ARN',
  GCM: 'SNS_FCM_APPLICATION_ARN',
} as const satisfies Record<PushPlatform, keyof Environment>;

function notificationEnvironment(scope: Construct, { stage, push }: ServicesProps): Environment {
  const webhooks: Environment = stage.webhooks
    ? { WEBHOOK_URL: ssm.StringParameter.valueForStringParameter(scope, parameterName(stage.name, 'webhook-url')) }
    : {};
  if (push === undefined) return { ...webhooks, PUSH_PROVIDER: 'console', DATA_DIR: DATA_DIRECTORY };
  const applications = push.applications.map(({ platform, arn }) => [APPLICATION_SETTINGS[platform], arn]);
  return { ...webhooks, PUSH_PROVIDER: 'sns', ...Object.fromEntries(applications) };
}
