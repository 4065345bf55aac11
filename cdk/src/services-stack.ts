import { TOPICS } from '@restante/shared/contract/events';
import type { ServiceName } from '@restante/shared/runtime/permissions';
import { Stack, type StackProps } from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { attachmentsBucketName } from './attachments-stack.ts';
import type { BrokerStack } from './broker-stack.ts';
import type { CacheStack } from './cache-stack.ts';
import type { DataStack } from './data-stack.ts';
import { GatewayService } from './gateway-service.ts';
import type { KeysStack } from './keys-stack.ts';
import { lagMetric } from './metrics.ts';
import { GATEWAY_PORT, type NetworkStack } from './network-stack.ts';
import type { PushStack } from './push-stack.ts';
import { serviceEnvironment, topicsEnvironment } from './service-environment.ts';
import { makeServiceRole } from './service-role.ts';
import { type StageProps, webhookSecretName } from './stages.ts';
import { makeTask } from './task.ts';
import { TopicsTask } from './topics-task.ts';
import { WorkerService } from './worker-service.ts';

export type ServicesProps = StackProps & {
  stage: StageProps;
  imageTag: string;
  keys: KeysStack;
  network: NetworkStack;
  data: DataStack;
  cache: CacheStack;
  broker: BrokerStack;
  push: PushStack | undefined;
};

/** The three services, each with a role of its own, and the task that makes the topics before they start. */
export class ServicesStack extends Stack {
  readonly cluster: ecs.Cluster;
  readonly gateway: GatewayService;
  readonly messaging: WorkerService;
  readonly notification: WorkerService;
  readonly #props: ServicesProps;

  constructor(scope: Construct, id: string, props: ServicesProps) {
    super(scope, id, props);
    this.#props = props;
    this.cluster = new ecs.Cluster(this, 'Cluster', {
      clusterName: `restante-${props.stage.name}`,
      vpc: props.network.vpc,
      containerInsightsV2: ecs.ContainerInsights.ENABLED,
    });
    const topics = new TopicsTask(this, 'Topics', {
      ...props,
      cluster: this.cluster,
      environment: topicsEnvironment(props),
    });
    this.gateway = new GatewayService(this, 'Gateway', {
      stage: props.stage,
      vpc: props.network.vpc,
      groups: props.network.groups,
      cluster: this.cluster,
      taskDefinition: this.#makeServiceTask('gateway'),
    });
    this.messaging = this.#makeWorker('messaging', TOPICS.incoming);
    this.notification = this.#makeWorker('notification', TOPICS.userEvents);
    for (const { service } of [this.gateway, this.messaging, this.notification])
      service.node.addDependency(topics.done);
  }

  #makeWorker(name: 'messaging' | 'notification', topic: string): WorkerService {
    const { stage, broker, network } = this.#props;
    return new WorkerService(this, name === 'messaging' ? 'Messaging' : 'Notification', {
      stage,
      name,
      securityGroup: network.groups[name],
      cluster: this.cluster,
      taskDefinition: this.#makeServiceTask(name),
      lag: lagMetric(broker.clusterName, name, topic, 'MaxOffsetLag'),
    });
  }

  #makeServiceTask(service: ServiceName): ecs.FargateTaskDefinition {
    const props = this.#props;
    const { cpu, memoryMiB } = props.stage[service];
    const task = makeTask(this, service, {
      stage: props.stage,
      image: service,
      imageTag: props.imageTag,
      cpu,
      memoryMiB,
      role: this.#makeRole(service),
      logsKey: props.keys.logs,
      environment: serviceEnvironment(this, service, props),
      secrets: {
        REDIS_PASSWORD: ecs.Secret.fromSecretsManager(this.#passwordOf(service)),
        ...(service === 'notification' && props.stage.webhooks
          ? { WEBHOOK_SECRET: ecs.Secret.fromSecretsManager(this.#webhookSecret()) }
          : {}),
      },
      healthCheck: true,
      ...(service === 'gateway' ? { clientPort: GATEWAY_PORT } : {}),
    });
    task.addToExecutionRolePolicy(
      new iam.PolicyStatement({
        actions: ['kms:Decrypt'],
        resources: [props.keys.data.keyArn],
        conditions: { StringEquals: { 'kms:ViaService': `secretsmanager.${this.region}.amazonaws.com` } },
      }),
    );
    return task;
  }

  /** By its ARN alone: with its key, granting would write this stack's role into the policy of a key in a stack before it. */
  #passwordOf(service: ServiceName): secretsmanager.ISecret {
    return secretsmanager.Secret.fromSecretCompleteArn(
      this,
      `${service}Password`,
      this.#props.cache.passwords[service].secretArn,
    );
  }

  /** Made by an operator, as only they can tell the receiver of it. */
  #webhookSecret(): secretsmanager.ISecret {
    return secretsmanager.Secret.fromSecretNameV2(this, 'WebhookSecret', webhookSecretName(this.#props.stage.name));
  }

  #makeRole(service: ServiceName): iam.Role {
    const { broker, data, keys, push, stage } = this.#props;
    return makeServiceRole(this, service, {
      broker,
      tables: data.tables,
      dataKey: keys.data,
      push: push?.applications ?? [],
      attachmentsBucket: stage.attachments && attachmentsBucketName(this, stage),
    });
  }
}
