import { Stack, type StackProps } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { type AlarmSpec, alarmSpecs } from './alarms.ts';
import type { BrokerStack } from './broker-stack.ts';
import type { CacheStack } from './cache-stack.ts';
import { dashboardRows } from './dashboard.ts';
import type { DataStack } from './data-stack.ts';
import type { PushStack } from './push-stack.ts';
import type { ServicesStack } from './services-stack.ts';
import type { StageProps } from './stages.ts';

export type Watched = {
  stage: StageProps;
  services: ServicesStack;
  broker: BrokerStack;
  cache: CacheStack;
  data: DataStack;
  push: PushStack | undefined;
};

/** What wakes somebody, and what they look at then. Subscribe to the topic after the first deployment (docs/deploy.md). */
export class WatchStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps & Watched & { key: kms.IKey }) {
    super(scope, id, props);
    const topic = new sns.Topic(this, 'Alarms', {
      topicName: `restante-${props.stage.name}-alarms`,
      masterKey: props.key,
      enforceSSL: true,
    });
    const alarms = alarmSpecs(props).map((spec) => this.#makeAlarm(props.stage, spec, topic));
    const dashboard = new cloudwatch.Dashboard(this, 'Dashboard', { dashboardName: `restante-${props.stage.name}` });
    dashboard.addWidgets(new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms, width: 24, height: 4 }));
    for (const row of dashboardRows(props)) dashboard.addWidgets(...row);
  }

  #makeAlarm(stage: StageProps, spec: AlarmSpec, topic: sns.ITopic): cloudwatch.Alarm {
    const alarm = new cloudwatch.Alarm(this, spec.name, {
      alarmName: `restante-${stage.name}-${spec.name}`,
      alarmDescription: spec.means,
      metric: spec.metric,
      threshold: spec.threshold,
      comparisonOperator: spec.below
        ? cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        : cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: spec.minutes,
      datapointsToAlarm: spec.minutes,
      // Nothing measured of a counter is nothing happened; of a heartbeat, that nobody lives.
      treatMissingData: spec.silenceIsBad
        ? cloudwatch.TreatMissingData.BREACHING
        : cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(topic));
    alarm.addOkAction(new SnsAction(topic));
    return alarm;
  }
}
