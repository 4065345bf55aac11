import type { Plan } from './plan.ts';

/** Default quotas of AWS that a size approaches. `adjustable`: AWS raises it on request; else the design has to change. */
export type Quota = { name: string; limit: number; adjustable: boolean; used: (plan: Plan) => number };

export const QUOTAS: readonly Quota[] = [
  {
    name: 'Fargate: vCPUs on demand in a region',
    limit: 4_000,
    adjustable: true,
    used: ({ tasks }) => tasks.gateway.vcpu + tasks.messaging.vcpu + tasks.notification.vcpu,
  },
  { name: 'ECS: tasks of one service', limit: 5_000, adjustable: true, used: ({ tasks }) => tasks.gateway.count },
  {
    name: 'ALB: targets of one load balancer',
    limit: 1_000,
    adjustable: true,
    used: ({ tasks }) => 2 * tasks.gateway.count,
  },
  { name: 'MSK: brokers of one KRaft cluster', limit: 60, adjustable: true, used: ({ kafka }) => kafka.brokers },
  {
    name: 'MSK: IAM connections to one broker',
    limit: 3_000,
    adjustable: true,
    used: ({ kafka }) => kafka.connectionsPerBroker,
  },
  {
    name: 'MSK: partitions (replicas) on one broker',
    limit: 4_000,
    adjustable: false,
    used: ({ kafka }) => kafka.replicasPerBroker,
  },
  { name: 'ElastiCache: nodes of one cluster', limit: 90, adjustable: true, used: ({ redis }) => redis.shards * 2 },
  {
    name: 'DynamoDB: write units a second of one on-demand table',
    limit: 40_000,
    adjustable: true,
    used: ({ tables }) => tables.messagesPeakUnits,
  },
  {
    name: 'SNS: publishes a second in a region',
    limit: 30_000,
    adjustable: true,
    used: ({ push }) => push.peakPerSecond,
  },
];
