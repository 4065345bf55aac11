import { CfnOutput, Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { serviceMetric } from './metrics.ts';
import { ALB_PORT, GATEWAY_PORT, type SecurityGroups } from './network-stack.ts';
import { parameterName, type StageProps } from './stages.ts';

/** The server pings each 30 s (HEARTBEAT_SECONDS), so a socket is never silent for this long unless it is dead. */
const IDLE_TIMEOUT = Duration.seconds(120);
/**
 * A socket never ends by itself, so waiting for it is in vain: ECS sends SIGTERM when this is over, and then the gateway
 * says `bye` to all at once, each with a time to come back that is spread over DRAIN_MS.
 */
const DEREGISTRATION_DELAY = Duration.seconds(15);
/** Room for what reconnects when a task dies. */
const TARGET_UTILISATION = 0.7;

type Props = {
  stage: StageProps;
  vpc: ec2.IVpc;
  groups: SecurityGroups;
  cluster: ecs.ICluster;
  taskDefinition: ecs.FargateTaskDefinition;
};

/** The gateways behind the one thing that is public. No stickiness: whatever gateway a client reaches is the right one. */
export class GatewayService extends Construct {
  readonly service: ecs.FargateService;
  readonly loadBalancer: elb.ApplicationLoadBalancer;
  readonly targetGroup: elb.ApplicationTargetGroup;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id);
    const { stage } = props;
    this.loadBalancer = this.#makeLoadBalancer(props);
    this.service = new ecs.FargateService(this, 'Service', {
      serviceName: `restante-${stage.name}-gateway`,
      cluster: props.cluster,
      taskDefinition: props.taskDefinition,
      desiredCount: stage.gateway.minTasks,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { enable: true, rollback: true },
      securityGroups: [props.groups.gateway],
      vpcSubnets: { subnetGroupName: 'tasks' },
      assignPublicIp: false,
      availabilityZoneRebalancing: ecs.AvailabilityZoneRebalancing.ENABLED,
      // A gateway is ready only once it holds a slot and stands at the end of it (DESIGN.md, decision 12).
      healthCheckGracePeriod: Duration.seconds(90),
    });
    this.targetGroup = this.#makeTargetGroup(props);
    this.#scale(stage);
    new CfnOutput(this, 'Address', {
      value: this.loadBalancer.loadBalancerDnsName,
      description: 'Point your domain here',
    });
  }

  #makeLoadBalancer({ stage, vpc, groups }: Props): elb.ApplicationLoadBalancer {
    const accessLogs = new s3.Bucket(this, 'AccessLogs', {
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      // The load balancer can write to no other encryption.
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      lifecycleRules: [{ expiration: Duration.days(stage.logRetentionDays) }],
      removalPolicy: stage.deletionProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    acknowledge(accessLogs, {
      'AwsSolutions-S1': 'This bucket holds the access logs; logging the logs would have no end.',
    });
    const loadBalancer = new elb.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc,
      internetFacing: true,
      vpcSubnets: { subnetGroupName: 'public' },
      securityGroup: groups.alb,
      idleTimeout: IDLE_TIMEOUT,
      dropInvalidHeaderFields: true,
      deletionProtection: stage.deletionProtection,
    });
    loadBalancer.logAccessLogs(accessLogs);
    return loadBalancer;
  }

  #makeTargetGroup({ stage, vpc }: Props): elb.ApplicationTargetGroup {
    const targetGroup = new elb.ApplicationTargetGroup(this, 'Targets', {
      vpc,
      protocol: elb.ApplicationProtocol.HTTP,
      port: GATEWAY_PORT,
      targets: [this.service],
      deregistrationDelay: DEREGISTRATION_DELAY,
      // By requests in flight, and a socket is one: new connections go where the fewest are.
      loadBalancingAlgorithmType: elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
      healthCheck: {
        path: '/readyz',
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 3,
      },
    });
    this.loadBalancer.addListener('Https', {
      port: ALB_PORT,
      protocol: elb.ApplicationProtocol.HTTPS,
      sslPolicy: elb.SslPolicy.RECOMMENDED_TLS,
      certificates: [
        {
          certificateArn: ssm.StringParameter.valueForStringParameter(
            this,
            parameterName(stage.name, 'certificate-arn'),
          ),
        },
      ],
      open: false,
      defaultTargetGroups: [targetGroup],
    });
    return targetGroup;
  }

  #scale(stage: StageProps): void {
    const scaling = this.service.autoScaleTaskCount({
      minCapacity: stage.gateway.minTasks,
      maxCapacity: stage.gateway.maxTasks,
    });
    scaling.scaleToTrackCustomMetric('Connections', {
      metric: serviceMetric(stage, 'gateway', 'connections').with({ statistic: cloudwatch.Stats.AVERAGE }),
      targetValue: stage.gateway.connectionsPerTask * TARGET_UTILISATION,
      scaleOutCooldown: Duration.seconds(60),
      // Each task that goes sends its clients elsewhere: rarely, and one at a time.
      scaleInCooldown: Duration.minutes(15),
    });
    scaling.scaleOnCpuUtilization('Cpu', {
      targetUtilizationPercent: 65,
      scaleOutCooldown: Duration.seconds(60),
      scaleInCooldown: Duration.minutes(15),
    });
  }
}
