import { TOPICS } from '@restante/shared/contract/events';
import { incomingTopic } from '@restante/shared/kafka/topics';
import { CfnOutput, Fn, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as msk from 'aws-cdk-lib/aws-msk';
import type { Construct } from 'constructs';
import { callHandler, makeHandler } from './custom-resource.ts';
import type { StageProps } from './stages.ts';

/** What the log promises (DESIGN.md, decision 2), for topics that a person makes by hand too. */
const SERVER_PROPERTIES = {
  'auto.create.topics.enable': 'false',
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
  'unclean.leader.election.enable': 'false',
  // A group that was stopped over a holiday must find its place again.
  'offsets.retention.minutes': String(30 * 24 * 60),
};
const KAFKA_VERSION = '4.1.x.kraft';
export const REPLICATION_FACTOR = 3;

type Props = StackProps & {
  stage: StageProps;
  vpc: ec2.IVpc;
  securityGroup: ec2.ISecurityGroup;
  dataKey: kms.IKey;
  logsKey: kms.IKey;
};

/** Kafka in three zones: IAM is the only way in, TLS the only way to talk. */
export class BrokerStack extends Stack {
  readonly cluster: msk.CfnCluster;
  readonly clusterName: string;
  /** host:port, several, of the IAM listener. */
  readonly bootstrapBrokers: string;
  readonly #epoch: number;
  readonly #uuidExport: string;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id, props);
    this.clusterName = `restante-${props.stage.name}`;
    this.cluster = this.makeCluster(props);
    this.#epoch = props.stage.topics.epoch;
    // arn:…:cluster/<name>/<uuid>: topics and groups are named below the uuid, which is known only when the cluster is.
    this.#uuidExport = `${this.clusterName}-kafka-uuid`;
    new CfnOutput(this, 'Uuid', {
      value: Fn.select(2, Fn.split('/', this.cluster.attrArn)),
      exportName: this.#uuidExport,
    });
    const handler = makeHandler(this, 'BootstrapBrokers', {
      stage: props.stage,
      handler: 'bootstrap-brokers',
      about: 'Reads the addresses of the brokers',
      logsKey: props.logsKey,
      statements: [
        new iam.PolicyStatement({ actions: ['kafka:GetBootstrapBrokers'], resources: [this.cluster.attrArn] }),
      ],
    });
    const found = callHandler(this, 'BootstrapBrokersOfCluster', handler, { ClusterArn: this.cluster.attrArn });
    this.bootstrapBrokers = found.getAttString('Brokers');
  }

  /** The ARNs of a topic, as `kafka-cluster:*` actions name them: of the log, the epoch that is written and the one before. */
  topicArns(topic: string): string[] {
    if (topic !== TOPICS.incoming) return [this.#resourceArn('topic', topic)];
    const epochs = this.#epoch > 1 ? [this.#epoch - 1, this.#epoch] : [this.#epoch];
    return epochs.map((epoch) => this.#resourceArn('topic', incomingTopic(epoch)));
  }

  /** A trailing `*` is allowed. */
  groupArn(group: string): string {
    return this.#resourceArn('group', group);
  }

  /** cdk-nag names a finding by the ARN as it is in the template. */
  groupFinding(group: string): string {
    return `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kafka:${this.region}:<AWS::AccountId>:group/${this.clusterName}/${this.#uuidExport}/${group}]`;
  }

  #resourceArn(kind: 'topic' | 'group', name: string): string {
    return `arn:${this.partition}:kafka:${this.region}:${this.account}:${kind}/${this.clusterName}/${Fn.importValue(this.#uuidExport)}/${name}`;
  }

  private makeCluster(props: Props): msk.CfnCluster {
    const { broker } = props.stage;
    const configuration = new msk.CfnConfiguration(this, 'Configuration', {
      name: `${this.clusterName}-configuration`,
      description: 'Durable by default',
      serverProperties: Object.entries(SERVER_PROPERTIES)
        .map(([name, value]) => `${name}=${value}`)
        .join('\n'),
    });
    const brokerLogs = new logs.LogGroup(this, 'BrokerLogs', {
      logGroupName: `/restante/${props.stage.name}/kafka`,
      retention: props.stage.logRetentionDays,
      encryptionKey: props.logsKey,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const cluster = new msk.CfnCluster(this, 'Cluster', {
      clusterName: this.clusterName,
      kafkaVersion: KAFKA_VERSION,
      numberOfBrokerNodes: broker.brokers,
      brokerNodeGroupInfo: {
        instanceType: broker.instanceType,
        brokerAzDistribution: 'DEFAULT',
        clientSubnets: props.vpc.selectSubnets({ subnetGroupName: 'data' }).subnetIds,
        securityGroups: [props.securityGroup.securityGroupId],
        storageInfo: { ebsStorageInfo: { volumeSize: broker.volumeGiB } },
        connectivityInfo: { publicAccess: { type: 'DISABLED' } },
      },
      clientAuthentication: {
        sasl: { iam: { enabled: true }, scram: { enabled: false } },
        unauthenticated: { enabled: false },
      },
      encryptionInfo: {
        encryptionAtRest: { dataVolumeKmsKeyId: props.dataKey.keyArn },
        encryptionInTransit: { clientBroker: 'TLS', inCluster: true },
      },
      configurationInfo: { arn: configuration.attrArn, revision: configuration.attrLatestRevisionRevision },
      // Lag per group and topic, which the workers scale on, needs no more than this level.
      enhancedMonitoring: 'PER_TOPIC_PER_BROKER',
      loggingInfo: { brokerLogs: { cloudWatchLogs: { enabled: true, logGroup: brokerLogs.logGroupName } } },
    });
    // The log holds messages that are nowhere else yet: deleting it is an operator's decision (docs/deploy.md, teardown).
    cluster.applyRemovalPolicy(props.stage.deletionProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY);
    return cluster;
  }
}
