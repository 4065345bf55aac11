import { TOPICS } from '@restante/shared/contract/events';
import type { ServiceName } from '@restante/shared/runtime/permissions';
import { RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
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
import { adminTokenName, type StageProps, webhookSecretName } from './stages.ts';
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

/** The one whose admin port has the operator's API. */
const OPERATED = 'notification' satisfies ServiceName;

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
      // Sessions forward a port, of which there is no transcript; what an operator orders is in the audit log (ADR 9).
      executeCommandConfiguration: { logging: ecs.ExecuteCommandLogging.NONE },
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
      operated: name === OPERATED,
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
        ...(service === OPERATED ? { ADMIN_TOKEN: ecs.Secret.fromSecretsManager(this.#makeAdminToken()) } : {}),
        ...(service === 'notification' && props.stage.webhooks
          ? { WEBHOOK_SECRET: ecs.Secret.fromSecretsManager(this.#webhookSecret()) }
          : {}),
      },
      healthCheck: true,
      operated: service === OPERATED,
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

  #passwordOf(service: ServiceName): secretsmanager.ISecret {
    return this.#withoutKey(`${service}Password`, this.#props.cache.passwords[service]);
  }

  /** By its ARN alone: with its key, granting would write this stack's role into the policy of a key in a stack before it. */
  #withoutKey(id: string, { secretArn }: secretsmanager.ISecret): secretsmanager.ISecret {
    return secretsmanager.Secret.fromSecretCompleteArn(this, id, secretArn);
  }

  /** Nobody types it: an operator reads it by their own rights (docs/deploy.md, "To act"). */
  #makeAdminToken(): secretsmanager.ISecret {
    const { keys, stage } = this.#props;
    const secret = new secretsmanager.Secret(this, 'AdminToken', {
      secretName: adminTokenName(stage.name),
      description: "Opens the operator's API of notification",
      encryptionKey: keys.data,
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: RemovalPolicy.DESTROY,
    });
    acknowledge(secret, {
      'AwsSolutions-SMG4':
        'Tasks read it once at start, so rotation is a new value and a rolling deployment, described in docs/deploy.md.',
    });
    return this.#withoutKey('AdminTokenOfTask', secret);
  }

  /** Made by an operator, as only they can tell the receiver of it. */
  #webhookSecret(): secretsmanager.ISecret {
    return secretsmanager.Secret.fromSecretNameV2(this, 'WebhookSecret', webhookSecretName(this.#props.stage.name));
  }

  #makeRole(service: ServiceName): iam.Role {
    const { broker, data, keys, push, stage } = this.#props;
    const role = makeServiceRole(this, service, {
      broker,
      tables: data.tables,
      dataKey: keys.data,
      push: push?.applications ?? [],
      attachmentsBucket: stage.attachments && attachmentsBucketName(this, stage),
    });
    if (service === OPERATED) {
      acknowledge(role, {
        'AwsSolutions-IAM5[Resource::*]':
          "The channels of the task's own agent to Session Manager: ssmmessages knows no resource. They let nobody in who may not start a session.",
      });
    }
    return role;
  }
}
