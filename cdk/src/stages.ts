/**
 * What differs between the stages, spelled out: nothing in a stack asks which stage it is. Each has an account, or at
 * least a region, of its own: tables are named as the code names them.
 */
export type StageName = 'dev' | 'prod';
export type PushPlatform = 'APNS' | 'APNS_SANDBOX' | 'GCM';

type TaskSize = { cpu: 256 | 512 | 1024 | 2048 | 4096; memoryMiB: number; minTasks: number; maxTasks: number };
export type StageProps = {
  name: StageName;
  region: string;
  vpcCidr: string;
  /** One is enough to reach the keys of the tokens; three keep that up when a zone is lost. */
  natGateways: 1 | 3;
  broker: { instanceType: string; brokers: 3 | 6 | 9 | 12; volumeGiB: number };
  redis: { nodeType: string; shards: number; replicasPerShard: number };
  /** Partitions can't be changed in place: docs/deploy.md, "Re-partitioning". */
  topics: { incomingPartitions: number; userEventPartitions: number; gatewaySlots: number; epoch: number };
  gateway: TaskSize & { connectionsPerTask: number };
  messaging: TaskSize;
  notification: TaskSize;
  /** Empty: pushes are only written to a file in the task, for a first deployment without any push account. */
  push: readonly PushPlatform[];
  /** A bucket for the files of messages, and how long they are kept; absent: none are taken. */
  attachments?: { keptDays: number };
  /** Receipts and dead letters are told to the address of the parameter `webhook-url`: docs/webhooks.md. */
  webhooks: boolean;
  /** Tables, cluster and load balancer refuse to be deleted. */
  deletionProtection: boolean;
  logRetentionDays: 7 | 30 | 90;
};

export const STAGES: Record<StageName, StageProps> = {
  dev: {
    name: 'dev',
    region: 'eu-central-1',
    vpcCidr: '10.40.0.0/16',
    natGateways: 1,
    broker: { instanceType: 'kafka.t3.small', brokers: 3, volumeGiB: 50 },
    redis: { nodeType: 'cache.t4g.small', shards: 1, replicasPerShard: 1 },
    topics: { incomingPartitions: 12, userEventPartitions: 12, gatewaySlots: 8, epoch: 1 },
    gateway: { cpu: 512, memoryMiB: 1024, minTasks: 2, maxTasks: 4, connectionsPerTask: 5_000 },
    messaging: { cpu: 512, memoryMiB: 1024, minTasks: 2, maxTasks: 4 },
    notification: { cpu: 512, memoryMiB: 1024, minTasks: 2, maxTasks: 4 },
    push: [],
    webhooks: false,
    deletionProtection: false,
    logRetentionDays: 7,
  },
  prod: {
    name: 'prod',
    region: 'eu-central-1',
    vpcCidr: '10.41.0.0/16',
    natGateways: 3,
    broker: { instanceType: 'kafka.m7g.large', brokers: 3, volumeGiB: 500 },
    redis: { nodeType: 'cache.r7g.large', shards: 3, replicasPerShard: 1 },
    topics: { incomingPartitions: 48, userEventPartitions: 48, gatewaySlots: 64, epoch: 1 },
    gateway: { cpu: 1024, memoryMiB: 4096, minTasks: 3, maxTasks: 32, connectionsPerTask: 20_000 },
    messaging: { cpu: 1024, memoryMiB: 2048, minTasks: 3, maxTasks: 24 },
    notification: { cpu: 1024, memoryMiB: 2048, minTasks: 3, maxTasks: 24 },
    push: ['APNS', 'GCM'],
    attachments: { keptDays: 365 },
    webhooks: false,
    deletionProtection: true,
    logRetentionDays: 90,
  },
};

/**
 * What is not known before an account exists is read by CloudFormation at deployment from these parameters of the
 * Parameter Store, so that synthesis needs no credentials (docs/deploy.md makes them).
 */
export const parameterName = (
  stage: StageName,
  name: 'certificate-arn' | 'jwks-url' | 'allowed-origins' | 'webhook-url',
): string => `/restante/${stage}/${name}`;

export const webhookSecretName = (stage: StageName): string => `restante/${stage}/webhook-secret`;

export const adminTokenName = (stage: StageName): string => `restante/${stage}/admin-token`;

/** @throws Error where the numbers of a stage contradict each other: better at synthesis than at three in the morning. */
export function checkStage(stage: StageProps): void {
  const { topics, gateway, messaging, notification } = stage;
  const problems: string[] = [];
  // A rolling deployment runs old and new tasks side by side, and each holds a slot.
  if (topics.gatewaySlots < 2 * gateway.maxTasks) problems.push('gatewaySlots must be at least twice gateway.maxTasks');
  if (topics.incomingPartitions < messaging.maxTasks) problems.push('messaging.maxTasks exceeds incomingPartitions');
  if (topics.userEventPartitions < notification.maxTasks)
    problems.push('notification.maxTasks exceeds userEventPartitions');
  if (stage.redis.replicasPerShard < 1) problems.push('without a replica there is no failover');
  if (stage.broker.brokers % 3 !== 0) problems.push('brokers must be a multiple of the three zones');
  if (stage.push.includes('APNS') && stage.push.includes('APNS_SANDBOX')) problems.push('push has two kinds of APNs');
  if (problems.length > 0) throw new Error(`stage ${stage.name}: ${problems.join('; ')}`);
}
