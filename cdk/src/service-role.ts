import {
  type KafkaAccess,
  PERMISSIONS,
  PUSH_ACTIONS,
  type ServiceName,
  TABLE_ACTIONS,
} from '@restante/shared/runtime/permissions';
import type { TableName } from '@restante/shared/runtime/tables';
import { Aws, Stack } from 'aws-cdk-lib';
import type * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import type { BrokerStack } from './broker-stack.ts';
import type { PushApplication } from './push-stack.ts';

export type RoleResources = {
  broker: BrokerStack;
  tables: Record<TableName, dynamodb.ITable>;
  dataKey: kms.IKey;
  push: readonly PushApplication[];
  attachmentsBucket: string | undefined;
};

/** A service's own role: `shared/src/runtime/permissions.ts` as statements, each on named resources. */
export function makeServiceRole(scope: Construct, service: ServiceName, resources: RoleResources): iam.Role {
  const role = new iam.Role(scope, `${service}Role`, {
    assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
    description: `Restante ${service}: what its process may do`,
  });
  const { tables, kafka, push, uploads } = PERMISSIONS[service];
  for (const [table, accesses] of Object.entries(tables)) {
    const actions = [...new Set(accesses.flatMap((access) => TABLE_ACTIONS[access]))].sort();
    role.addToPolicy(new iam.PolicyStatement({ actions, resources: [resources.tables[table as TableName].tableArn] }));
  }
  role.addToPolicy(useOfKeyByDynamo(scope, resources.dataKey));
  for (const statement of kafkaStatements(resources.broker, kafka)) role.addToPolicy(statement);
  if (push && resources.push.length > 0)
    for (const statement of pushStatements(resources.push)) role.addToPolicy(statement);
  // Not to read, nor to list: what it signs can do no more than it may.
  if (uploads && resources.attachmentsBucket !== undefined) {
    const resource = `arn:${Aws.PARTITION}:s3:::${resources.attachmentsBucket}/*`;
    role.addToPolicy(new iam.PolicyStatement({ actions: ['s3:PutObject'], resources: [resource] }));
  }
  acknowledgeNames(role, service, resources);
  return role;
}

/** DynamoDB decrypts with the caller's rights; only through DynamoDB, so that the same key opens no secret. */
function useOfKeyByDynamo(scope: Construct, key: kms.IKey): iam.PolicyStatement {
  return new iam.PolicyStatement({
    actions: ['kms:Decrypt', 'kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey'],
    resources: [key.keyArn],
    conditions: { StringEquals: { 'kms:ViaService': `dynamodb.${Stack.of(scope).region}.amazonaws.com` } },
  });
}

function kafkaStatements(broker: BrokerStack, access: KafkaAccess): iam.PolicyStatement[] {
  const topics = (names: readonly string[]): string[] => names.flatMap((name) => broker.topicArns(name));
  const groups = (names: readonly string[]): string[] => names.map((name) => broker.groupArn(name));
  const statement = (actions: string[], resources: string[]): iam.PolicyStatement[] =>
    resources.length === 0
      ? []
      : [new iam.PolicyStatement({ actions: actions.map((action) => `kafka-cluster:${action}`), resources })];
  return [
    ...statement(['Connect', 'DescribeCluster'], [broker.cluster.attrArn]),
    ...statement(['DescribeTopic', 'WriteData'], topics(access.writes)),
    ...statement(['DescribeTopic', 'ReadData'], topics(access.reads)),
    ...statement(['DescribeTopic'], topics(access.describesTopics)),
    ...statement(['AlterGroup', 'DescribeGroup'], groups(access.groups)),
    ...statement(['AlterGroup', 'DeleteGroup', 'DescribeGroup'], groups(access.ownGroups)),
    ...statement(['DescribeGroup'], groups(access.describesGroups)),
  ];
}

function pushStatements(applications: readonly PushApplication[]): iam.PolicyStatement[] {
  return [
    new iam.PolicyStatement({ actions: [...PUSH_ACTIONS.application], resources: applications.map(({ arn }) => arn) }),
    new iam.PolicyStatement({
      actions: [...PUSH_ACTIONS.endpoint],
      resources: applications.map(({ endpointsArn }) => endpointsArn),
    }),
  ];
}

function acknowledgeNames(
  role: iam.Role,
  service: ServiceName,
  { broker, push, attachmentsBucket }: RoleResources,
): void {
  for (const group of PERMISSIONS[service].kafka.ownGroups) {
    acknowledge(role, {
      [broker.groupFinding(group)]:
        'A reader of one partition has a group of its own with a random name: the prefix says whose it is.',
    });
  }
  if (PERMISSIONS[service].uploads && attachmentsBucket !== undefined) {
    acknowledge(role, {
      [`AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::${attachmentsBucket.replace(Aws.ACCOUNT_ID, '<AWS::AccountId>')}/*]`]:
        'Files have random names, below the id of the user who puts them.',
    });
  }
  if (!PERMISSIONS[service].push) return;
  for (const { platform, name } of push) {
    const { region } = Stack.of(role);
    acknowledge(role, {
      [`AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:sns:${region}:<AWS::AccountId>:endpoint/${platform}/${name}/*]`]:
        'SNS gives each device an endpoint with a random name, below the name of the application.',
    });
  }
}
