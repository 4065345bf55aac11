import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { AlarmSpec } from './alarms.ts';
import type { StageProps } from './stages.ts';
import type { Watched } from './watch-stack.ts';

const MINUTE = Duration.minutes(1);
/** The failover of one of three zones must leave the log writable, and these nodes are what has to hold it. */
const DISK_PERCENT = 70;

/** ElastiCache names the nodes of a shard <group>-<shard, 4 digits>-<node, 3 digits>. */
function shardMetric(stage: StageProps, shard: number, metricName: string): cloudwatch.MathExpression {
  const shardId = String(shard).padStart(4, '0');
  const nodes = Array.from({ length: 1 + stage.redis.replicasPerShard }, (_, index) => `s${shard}n${index + 1}`);
  return new cloudwatch.MathExpression({
    // The worst of its nodes: the primary may be any of them.
    expression: `MAX([${nodes.join(', ')}])`,
    label: `shard ${shard} ${metricName}`,
    period: MINUTE,
    usingMetrics: Object.fromEntries(
      nodes.map((node, index) => [
        node,
        new cloudwatch.Metric({
          namespace: 'AWS/ElastiCache',
          metricName,
          dimensionsMap: { CacheClusterId: `restante-${stage.name}-${shardId}-${String(index + 1).padStart(3, '0')}` },
          statistic: cloudwatch.Stats.MAXIMUM,
          period: MINUTE,
        }),
      ]),
    ),
  });
}

export const shardsOf = (stage: StageProps): number[] =>
  Array.from({ length: stage.redis.shards }, (_, index) => index + 1);
export const memoryOf = (stage: StageProps, shard: number): cloudwatch.IMetric =>
  shardMetric(stage, shard, 'DatabaseMemoryUsagePercentage');

export function cacheAlarms({ stage }: Watched): AlarmSpec[] {
  return shardsOf(stage).flatMap((shard): AlarmSpec[] => [
    {
      name: `valkey-memory-${shard}`,
      means:
        'A shard is nearly full. It drops nothing (noeviction): when it is full, inboxes take no more and messaging waits. Add shards.',
      metric: memoryOf(stage, shard),
      threshold: 70,
      minutes: 3,
    },
    {
      name: `valkey-cpu-${shard}`,
      means: "A shard's one thread for commands is nearly busy: add shards.",
      metric: shardMetric(stage, shard, 'EngineCPUUtilization'),
      threshold: 80,
      minutes: 5,
    },
  ]);
}

export const brokerMetric = (
  broker: { clusterName: string },
  metricName: string,
  brokerId?: number,
): cloudwatch.Metric =>
  new cloudwatch.Metric({
    namespace: 'AWS/Kafka',
    metricName,
    dimensionsMap: {
      'Cluster Name': broker.clusterName,
      ...(brokerId === undefined ? {} : { 'Broker ID': String(brokerId) }),
    },
    statistic: cloudwatch.Stats.MAXIMUM,
    period: MINUTE,
  });

export function brokerAlarms({ stage, broker }: Watched): AlarmSpec[] {
  const ids = Array.from({ length: stage.broker.brokers }, (_, index) => index + 1);
  return [
    {
      name: 'kafka-offline',
      means: 'Partitions have no leader: what is sent to them waits, and is refused as overloaded after a while.',
      metric: brokerMetric(broker, 'OfflinePartitionsCount'),
      threshold: 0,
      minutes: 2,
    },
    ...ids.flatMap((id): AlarmSpec[] => [
      {
        name: `kafka-replicas-${id}`,
        means: `Broker ${id} lacks replicas: one more failure and the log takes no writes (min.insync.replicas 2).`,
        metric: brokerMetric(broker, 'UnderReplicatedPartitions', id),
        threshold: 0,
        minutes: 10,
      },
      {
        name: `kafka-disk-${id}`,
        means: `The disk of broker ${id} fills: enlarge broker.volumeGiB before it is full, for a full broker stops.`,
        metric: brokerMetric(broker, 'KafkaDataLogsDiskUsed', id),
        threshold: DISK_PERCENT,
        minutes: 5,
      },
    ]),
  ];
}

export function tableAlarms({ data }: Watched): AlarmSpec[] {
  return Object.entries(data.tables).map(
    ([name, table]): AlarmSpec => ({
      name: `throttled-${name}`,
      means: `Writes to the table ${name} are throttled: one hot key, or a burst beyond what on-demand doubles to. Nothing is lost; it is late.`,
      metric: new cloudwatch.Metric({
        namespace: 'AWS/DynamoDB',
        metricName: 'WriteThrottleEvents',
        dimensionsMap: { TableName: table.tableName },
        statistic: cloudwatch.Stats.SUM,
        period: MINUTE,
      }),
      threshold: 100,
      minutes: 3,
    }),
  );
}
