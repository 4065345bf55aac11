import type { ServiceName } from '@restante/shared/runtime/permissions';
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { StageProps } from './stages.ts';

/** Where the services' own metrics go (shared/src/runtime/cloudwatch-metrics.ts). */
export const metricsNamespace = (stage: StageProps): string => `Restante/${stage.name}`;
const MINUTE = Duration.minutes(1);

/** The metrics of the services that stacks rely on, by service. A test holds them against what the services register. */
export const SERVICE_METRICS = {
  gateway: ['connections', 'accept_seconds', 'lease_losses_total', 'resets_total', 'rejected_total'],
  messaging: ['dead_letters_total'],
  notification: ['due_oldest_seconds', 'due_users', 'dead_letters_total', 'pushes_total', 'pushes_total_failed'],
} as const satisfies Record<ServiceName, readonly string[]>;
export type ServiceMetric<S extends ServiceName> = (typeof SERVICE_METRICS)[S][number];

export function serviceMetric<S extends ServiceName>(
  stage: StageProps,
  service: S,
  name: ServiceMetric<S>,
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: metricsNamespace(stage),
    metricName: name,
    dimensionsMap: { service },
    statistic: cloudwatch.Stats.SUM,
    period: MINUTE,
    label: `${service} ${name}`,
  });
}

/** MSK measures the lag of each group: no service must be alive for it to be seen. */
export function lagMetric(
  clusterName: string,
  group: string,
  topic: string,
  metricName: 'MaxOffsetLag' | 'EstimatedMaxTimeLag',
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: 'AWS/Kafka',
    metricName,
    dimensionsMap: { 'Cluster Name': clusterName, 'Consumer Group': group, Topic: topic },
    statistic: cloudwatch.Stats.MAXIMUM,
    period: MINUTE,
    label: `${group} ${metricName}`,
  });
}
