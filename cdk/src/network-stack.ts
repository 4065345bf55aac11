import { Fn, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import type { StageProps } from './stages.ts';

export const ALB_PORT = 443;
export const GATEWAY_PORT = 8080;
export const ADMIN_PORT = 9080;
/** MSK's listener for IAM inside the VPC. */
export const KAFKA_IAM_PORT = 9098;
/** Not the well-known 6379, which is what a scan tries first. */
export const REDIS_PORT = 6380;

export type SecurityGroups = Record<
  'alb' | 'gateway' | 'messaging' | 'notification' | 'topics' | 'kafka' | 'redis' | 'endpoints',
  ec2.SecurityGroup
>;

/**
 * Three zones. Only the load balancer and the NAT gateways stand in public subnets. What the tasks talk to all day
 * (tables, push, logs, images, secrets) goes through endpoints; the NAT gateways are for the public keys of the tokens,
 * which are outside, and for an operator's session, which is rare.
 */
export class NetworkStack extends Stack {
  readonly vpc: ec2.Vpc;
  readonly groups: SecurityGroups;

  constructor(scope: Construct, id: string, props: StackProps & { stage: StageProps; logsKey: kms.IKey }) {
    super(scope, id, props);
    this.vpc = this.makeVpc(props.stage, props.logsKey);
    this.groups = this.makeSecurityGroups();
    this.addEndpoints();
  }

  /** Without an account CDK knows of two zones only; the first three of whatever region it will be are taken at deployment. */
  override get availabilityZones(): string[] {
    return [0, 1, 2].map((index) => Fn.select(index, Fn.getAzs(this.region)));
  }

  private makeVpc(stage: StageProps, logsKey: kms.IKey): ec2.Vpc {
    const flowLogs = new logs.LogGroup(this, 'FlowLogs', {
      logGroupName: `/restante/${stage.name}/vpc-flow`,
      retention: stage.logRetentionDays,
      encryptionKey: logsKey,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    return new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(stage.vpcCidr),
      maxAzs: 3,
      natGateways: stage.natGateways,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        // The load balancer grows with its connections and takes addresses as it does.
        { name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 22, mapPublicIpOnLaunch: false },
        { name: 'tasks', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        { name: 'data', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 22 },
      ],
      flowLogs: {
        all: {
          destination: ec2.FlowLogDestination.toCloudWatchLogs(flowLogs),
          trafficType: ec2.FlowLogTrafficType.REJECT,
        },
      },
    });
  }

  private makeSecurityGroups(): SecurityGroups {
    const group = (id: string, description: string, allowAllOutbound: boolean): ec2.SecurityGroup =>
      new ec2.SecurityGroup(this, id, { vpc: this.vpc, description, allowAllOutbound });
    const groups: SecurityGroups = {
      alb: group('AlbGroup', 'The load balancer: the one thing that the internet reaches', false),
      gateway: group('GatewayGroup', 'Gateway tasks', true),
      messaging: group('MessagingGroup', 'Messaging tasks', true),
      notification: group('NotificationGroup', 'Notification tasks', true),
      topics: group('TopicsGroup', 'The deployment task that makes the topics', true),
      kafka: group('KafkaGroup', 'Kafka brokers', false),
      redis: group('RedisGroup', 'Valkey', false),
      endpoints: group('EndpointsGroup', 'VPC endpoints', false),
    };
    acknowledge(groups.alb, {
      'AwsSolutions-EC23': 'The load balancer is the one thing that the internet is meant to reach, on 443 alone.',
    });
    groups.alb.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(ALB_PORT), 'Clients');
    groups.alb.addEgressRule(groups.gateway, ec2.Port.tcp(GATEWAY_PORT), 'Gateway tasks');
    groups.gateway.addIngressRule(groups.alb, ec2.Port.tcp(GATEWAY_PORT), 'The load balancer');
    for (const service of [groups.gateway, groups.messaging, groups.notification]) {
      groups.kafka.addIngressRule(service, ec2.Port.tcp(KAFKA_IAM_PORT), 'Kafka, IAM over TLS');
      groups.redis.addIngressRule(service, ec2.Port.tcp(REDIS_PORT), 'Valkey over TLS');
      groups.endpoints.addIngressRule(service, ec2.Port.tcp(443), 'AWS APIs');
    }
    groups.kafka.addIngressRule(groups.topics, ec2.Port.tcp(KAFKA_IAM_PORT), 'Kafka, IAM over TLS');
    groups.endpoints.addIngressRule(groups.topics, ec2.Port.tcp(443), 'AWS APIs');
    return groups;
  }

  private addEndpoints(): void {
    this.vpc.addGatewayEndpoint('DynamoDb', { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB });
    // ECR keeps the layers of the images in S3.
    this.vpc.addGatewayEndpoint('S3', { service: ec2.GatewayVpcEndpointAwsService.S3 });
    const services = {
      Sns: ec2.InterfaceVpcEndpointAwsService.SNS,
      Logs: ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
      EcrApi: ec2.InterfaceVpcEndpointAwsService.ECR,
      EcrDocker: ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
      Secrets: ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    };
    for (const [id, service] of Object.entries(services)) {
      this.vpc.addInterfaceEndpoint(id, {
        service,
        open: false,
        securityGroups: [this.groups.endpoints],
        subnets: { subnetGroupName: 'tasks' },
      });
    }
  }
}
