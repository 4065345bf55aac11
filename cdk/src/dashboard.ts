import { TOPICS } from '@restante/shared/contract/events';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { lagMetric, serviceMetric } from './metrics.ts';
import { brokerMetric, memoryOf, shardsOf } from './store-alarms.ts';
import type { Watched } from './watch-stack.ts';

const graph = (title: string, left: cloudwatch.IMetric[], right: cloudwatch.IMetric[] = []): cloudwatch.GraphWidget =>
  new cloudwatch.GraphWidget({ title, left, right, width: 8, height: 6 });

/** Top to bottom in the order of a message's life: in, through, kept, out. */
export function dashboardRows(watched: Watched): cloudwatch.IWidget[][] {
  return [edgeRow(watched), logRow(watched), deliveryRow(watched), storeRow(watched)];
}

function edgeRow({ stage, services }: Watched): cloudwatch.IWidget[] {
  const accept = serviceMetric(stage, 'gateway', 'accept_seconds');
  const connections = serviceMetric(stage, 'gateway', 'connections');
  return [
    graph(
      'Connections',
      [connections.with({ statistic: cloudwatch.Stats.SUM, label: 'all' })],
      [connections.with({ statistic: cloudwatch.Stats.MAXIMUM, label: 'fullest task' })],
    ),
    graph(
      'Accepted: seconds',
      [50, 99, 99.9].map((p) => accept.with({ statistic: cloudwatch.Stats.percentile(p), label: `p${p}` })),
    ),
    graph(
      'Tasks: CPU',
      [services.gateway, services.messaging, services.notification].map(({ service }) =>
        service.metricCpuUtilization(),
      ),
    ),
  ];
}

function logRow({ broker }: Watched): cloudwatch.IWidget[] {
  const groups = [
    { group: 'messaging', topic: TOPICS.incoming },
    { group: 'notification', topic: TOPICS.userEvents },
  ];
  return [
    graph(
      'Lag: seconds',
      groups.map(({ group, topic }) => lagMetric(broker.clusterName, group, topic, 'EstimatedMaxTimeLag')),
    ),
    graph(
      'Lag: records on the worst partition',
      groups.map(({ group, topic }) => lagMetric(broker.clusterName, group, topic, 'MaxOffsetLag')),
    ),
    graph('Kafka', [brokerMetric(broker, 'OfflinePartitionsCount')], [brokerMetric(broker, 'GlobalPartitionCount')]),
  ];
}

function deliveryRow({ stage }: Watched): cloudwatch.IWidget[] {
  const max = { statistic: cloudwatch.Stats.MAXIMUM };
  return [
    graph(
      'Oldest undelivered: seconds',
      [serviceMetric(stage, 'notification', 'due_oldest_seconds').with(max)],
      [serviceMetric(stage, 'notification', 'due_users').with({ ...max, label: 'due users' })],
    ),
    graph(
      'Pushes',
      [serviceMetric(stage, 'notification', 'pushes_total')],
      [serviceMetric(stage, 'notification', 'pushes_total_failed')],
    ),
    graph('Dead letters', [
      serviceMetric(stage, 'messaging', 'dead_letters_total'),
      serviceMetric(stage, 'notification', 'dead_letters_total'),
    ]),
  ];
}

function storeRow({ stage, data }: Watched): cloudwatch.IWidget[] {
  const written = Object.values(data.tables).map((table) =>
    table.metricConsumedWriteCapacityUnits({ statistic: cloudwatch.Stats.SUM }),
  );
  return [
    graph(
      'Valkey: memory, % of the worst node',
      shardsOf(stage).map((shard) => memoryOf(stage, shard)),
    ),
    graph('DynamoDB: write units', written),
    graph(
      'Gateways: refused, reset',
      [serviceMetric(stage, 'gateway', 'rejected_total')],
      [serviceMetric(stage, 'gateway', 'resets_total')],
    ),
  ];
}
