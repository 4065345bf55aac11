import { TOPICS } from '@restante/shared/contract/events';
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { lagMetric, serviceMetric } from './metrics.ts';
import { brokerAlarms, cacheAlarms, tableAlarms } from './store-alarms.ts';
import type { Watched } from './watch-stack.ts';

export type AlarmSpec = {
  name: string;
  /** What it means and what to do first: the text that the person on call reads. */
  means: string;
  metric: cloudwatch.IMetric;
  threshold: number;
  minutes: number;
  /** Alarms below the threshold, not above. */
  below?: boolean;
  silenceIsBad?: boolean;
};

const MINUTE = Duration.minutes(1);

export function alarmSpecs(watched: Watched): AlarmSpec[] {
  return [
    ...deliveryAlarms(watched),
    ...pushAlarms(watched),
    ...edgeAlarms(watched),
    ...cacheAlarms(watched),
    ...brokerAlarms(watched),
    ...tableAlarms(watched),
  ];
}

function deliveryAlarms({ stage, broker }: Watched): AlarmSpec[] {
  const lag = (group: string, topic: string) => lagMetric(broker.clusterName, group, topic, 'EstimatedMaxTimeLag');
  return [
    {
      name: 'messaging-lag',
      means:
        'Messages are accepted but not stored for a minute: look at the errors of messaging, then at throttled tables.',
      metric: lag('messaging', TOPICS.incoming),
      threshold: 60,
      minutes: 3,
    },
    {
      name: 'notification-lag',
      means: 'Acks and connects are handled a minute late, so replays stall: look at the errors of notification.',
      metric: lag('notification', TOPICS.userEvents),
      threshold: 60,
      minutes: 3,
    },
    {
      name: 'oldest-undelivered',
      means: 'Somebody who is due has not been probed or pushed for five minutes: the due queue is not worked off.',
      metric: serviceMetric(stage, 'notification', 'due_oldest_seconds').with({ statistic: cloudwatch.Stats.MAXIMUM }),
      threshold: 300,
      minutes: 3,
    },
    {
      name: 'due-queue',
      means: 'Many users are due at once and stay so: pushes or redeliveries are slower than what comes.',
      metric: serviceMetric(stage, 'notification', 'due_users').with({ statistic: cloudwatch.Stats.MAXIMUM }),
      threshold: 100_000,
      minutes: 10,
    },
    {
      name: 'dead-letters',
      means:
        'Records or entries were put aside as poison: read them with `restante dead-letters` (docs/deploy.md, "To act"), mend, redrive.',
      metric: new cloudwatch.MathExpression({
        expression: 'FILL(messaging, 0) + FILL(notification, 0)',
        label: 'dead letters',
        period: MINUTE,
        usingMetrics: {
          messaging: serviceMetric(stage, 'messaging', 'dead_letters_total'),
          notification: serviceMetric(stage, 'notification', 'dead_letters_total'),
        },
      }),
      threshold: 0,
      minutes: 1,
    },
    {
      name: 'accept-p99',
      means:
        'One in a hundred messages waits half a second for its `accepted`: Kafka is slow, or a gateway is starved.',
      metric: serviceMetric(stage, 'gateway', 'accept_seconds').with({ statistic: cloudwatch.Stats.percentile(99) }),
      threshold: 0.5,
      minutes: 5,
    },
  ];
}

function pushAlarms({ stage, push }: Watched): AlarmSpec[] {
  const own: AlarmSpec = {
    name: 'push-failures',
    means:
      'Pushes are refused and retried: the outcome is in the log of notification; a bad credential refuses all of them.',
    metric: serviceMetric(stage, 'notification', 'pushes_total_failed'),
    threshold: 100,
    minutes: 5,
  };
  const bySns = (push?.applications ?? []).map(
    ({ platform, name }): AlarmSpec => ({
      name: `push-failures-${platform.toLowerCase().replace('_', '-')}`,
      means: `${platform} refuses what SNS hands over: the reasons are in the log group sns/…/app/${platform}/${name}/Failure.`,
      metric: new cloudwatch.Metric({
        namespace: 'AWS/SNS',
        metricName: 'NumberOfNotificationsFailed',
        dimensionsMap: { Application: name, Platform: platform },
        statistic: cloudwatch.Stats.SUM,
        period: MINUTE,
      }),
      threshold: 100,
      minutes: 5,
    }),
  );
  return [own, ...bySns];
}

function edgeAlarms({ stage, services }: Watched): AlarmSpec[] {
  const { targetGroup, loadBalancer } = services.gateway;
  return [
    {
      name: 'connections',
      means: 'The gateways are nearly full and there is no room to add more: raise gateway.maxTasks and gatewaySlots.',
      metric: serviceMetric(stage, 'gateway', 'connections').with({ statistic: cloudwatch.Stats.SUM }),
      threshold: 0.85 * stage.gateway.maxTasks * stage.gateway.connectionsPerTask,
      minutes: 5,
    },
    {
      name: 'gateways-ready',
      means:
        'Fewer gateways take connections than there must be: look at /readyz reasons in their log (no slot, no Kafka, no Valkey).',
      metric: targetGroup.metrics.healthyHostCount({ statistic: cloudwatch.Stats.MINIMUM, period: MINUTE }),
      threshold: stage.gateway.minTasks,
      minutes: 5,
      below: true,
      silenceIsBad: true,
    },
    {
      name: 'gateway-5xx',
      means: 'Gateways answer with errors, or not at all.',
      metric: new cloudwatch.MathExpression({
        expression: 'FILL(target, 0) + FILL(balancer, 0)',
        label: '5xx',
        period: MINUTE,
        usingMetrics: {
          target: loadBalancer.metrics.httpCodeTarget(elb.HttpCodeTarget.TARGET_5XX_COUNT, { period: MINUTE }),
          balancer: loadBalancer.metrics.httpCodeElb(elb.HttpCodeElb.ELB_5XX_COUNT, { period: MINUTE }),
        },
      }),
      threshold: 50,
      minutes: 5,
    },
    {
      name: 'slots-lost',
      means: 'A gateway was paused past its lease and closed its sockets: starved of CPU, or cut off from Valkey.',
      metric: serviceMetric(stage, 'gateway', 'lease_losses_total'),
      threshold: 0,
      minutes: 1,
    },
  ];
}
