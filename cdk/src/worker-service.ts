import { Duration } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-applicationautoscaling';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import type { StageProps } from './stages.ts';

/** A second's worth of a busy partition: below this nobody waits for anything. */
export const LAG_STEPS = { calm: 500, busy: 5_000, behind: 50_000 } as const;

type Props = {
  stage: StageProps;
  name: 'messaging' | 'notification';
  securityGroup: ec2.ISecurityGroup;
  cluster: ecs.ICluster;
  taskDefinition: ecs.FargateTaskDefinition;
  /** The greatest lag of the service's group on any partition. */
  lag: cloudwatch.Metric;
  /** An operator reaches its admin port through Session Manager. */
  operated: boolean;
};

/** A consumer group as a service. Nothing connects to it by the network. */
export class WorkerService extends Construct {
  readonly service: ecs.FargateService;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id);
    const size = props.stage[props.name];
    this.service = new ecs.FargateService(this, 'Service', {
      serviceName: `restante-${props.stage.name}-${props.name}`,
      cluster: props.cluster,
      taskDefinition: props.taskDefinition,
      desiredCount: size.minTasks,
      // Replaced side by side: a member that leaves hands its partitions to one that is there.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { enable: true, rollback: true },
      securityGroups: [props.securityGroup],
      vpcSubnets: { subnetGroupName: 'tasks' },
      assignPublicIp: false,
      availabilityZoneRebalancing: ecs.AvailabilityZoneRebalancing.ENABLED,
      enableExecuteCommand: props.operated,
    });
    const scaling = this.service.autoScaleTaskCount({ minCapacity: size.minTasks, maxCapacity: size.maxTasks });
    scaling.scaleOnMetric('Lag', {
      metric: props.lag,
      adjustmentType: autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
      // Each change is a rebalance, which costs every partition a pause.
      cooldown: Duration.minutes(5),
      evaluationPeriods: 3,
      datapointsToAlarm: 2,
      scalingSteps: [
        { upper: LAG_STEPS.calm, change: -1 },
        { lower: LAG_STEPS.busy, change: +1 },
        { lower: LAG_STEPS.behind, change: +4 },
      ],
    });
    scaling.scaleOnCpuUtilization('Cpu', {
      targetUtilizationPercent: 65,
      scaleInCooldown: Duration.minutes(15),
      disableScaleIn: true,
    });
  }
}
