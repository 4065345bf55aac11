import { TOPICS } from '@restante/shared/contract/events';
import { OPERATOR_TOPIC } from '@restante/shared/contract/operator-actions';
import { type CustomResource, Stack } from 'aws-cdk-lib';
import type * as ecs from 'aws-cdk-lib/aws-ecs';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import type { BrokerStack } from './broker-stack.ts';
import { callHandler, HANDLER_DEADLINE, makeHandler } from './custom-resource.ts';
import type { Environment } from './environment.ts';
import type { KeysStack } from './keys-stack.ts';
import type { NetworkStack } from './network-stack.ts';
import type { StageProps } from './stages.ts';
import { makeTask } from './task.ts';

type Props = {
  stage: StageProps;
  imageTag: string;
  keys: KeysStack;
  network: NetworkStack;
  broker: BrokerStack;
  cluster: ecs.Cluster;
  environment: Environment;
};

/**
 * Makes the topics before any service starts, from `shared/src/kafka/topics.ts`: the same code as on one machine. A topic
 * that is there with other partitions fails the deployment instead of reordering conversations.
 */
export class TopicsTask extends Construct {
  readonly done: CustomResource;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id);
    const definition = makeTask(this, 'topics', {
      stage: props.stage,
      image: 'setup',
      imageTag: props.imageTag,
      cpu: 256,
      memoryMiB: 512,
      role: this.#makeRole(props.broker),
      logsKey: props.keys.logs,
      environment: props.environment,
      secrets: {},
      healthCheck: false,
      command: ['localstack/dist/init/main.js', 'topics'],
    });
    const handler = makeHandler(this, 'RunTask', {
      stage: props.stage,
      handler: 'run-task',
      about: 'Runs the task that makes the topics, and waits for it',
      logsKey: props.keys.logs,
      statements: this.#statements(definition, props),
    });
    this.done = callHandler(this, 'Done', handler, {
      Cluster: props.cluster.clusterArn,
      TaskDefinition: definition.taskDefinitionArn,
      Subnets: props.network.vpc.selectSubnets({ subnetGroupName: 'tasks' }).subnetIds,
      SecurityGroups: [props.network.groups.topics.securityGroupId],
      DeadlineSeconds: String(HANDLER_DEADLINE.toSeconds()),
    });
    acknowledge(handler.role!, {
      [`AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecs:${props.stage.region}:<AWS::AccountId>:task/restante-${props.stage.name}/*]`]:
        'A task has no name before it runs; the cluster is named, and the tasks are described, no more.',
    });
  }

  #makeRole(broker: BrokerStack): iam.Role {
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
      description: 'Restante topics: makes them, reads and writes nothing',
    });
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['kafka-cluster:Connect', 'kafka-cluster:DescribeCluster'],
        resources: [broker.cluster.attrArn],
      }),
    );
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: [
          'kafka-cluster:CreateTopic',
          'kafka-cluster:DescribeTopic',
          'kafka-cluster:DescribeTopicDynamicConfiguration',
        ],
        resources: [...Object.values(TOPICS), OPERATOR_TOPIC].flatMap((topic) => broker.topicArns(topic)),
      }),
    );
    return role;
  }

  #statements(definition: ecs.FargateTaskDefinition, { cluster, stage }: Props): iam.PolicyStatement[] {
    const { partition, region, account } = Stack.of(this);
    const inCluster = { ArnEquals: { 'ecs:cluster': cluster.clusterArn } };
    return [
      new iam.PolicyStatement({
        actions: ['ecs:RunTask'],
        resources: [definition.taskDefinitionArn],
        conditions: inCluster,
      }),
      new iam.PolicyStatement({
        actions: ['ecs:DescribeTasks'],
        resources: [`arn:${partition}:ecs:${region}:${account}:task/restante-${stage.name}/*`],
        conditions: inCluster,
      }),
      new iam.PolicyStatement({
        actions: ['iam:PassRole'],
        resources: [definition.taskRole.roleArn, definition.obtainExecutionRole().roleArn],
        conditions: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
      }),
    ];
  }
}
