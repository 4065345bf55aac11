import { TABLES, type TableName, type TableSpec } from '@restante/shared/runtime/tables';
import { RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import type { StageProps } from './stages.ts';

const KEY_TYPES = { S: dynamodb.AttributeType.STRING, N: dynamodb.AttributeType.NUMBER } as const;

/** The tables of `shared/src/runtime/tables.ts`: the history, which is the truth that everything else is rebuilt from. */
export class DataStack extends Stack {
  readonly tables: Record<TableName, dynamodb.Table>;

  constructor(scope: Construct, id: string, props: StackProps & { stage: StageProps; key: kms.IKey }) {
    super(scope, id, props);
    const made = Object.entries(TABLES).map(([name, spec]) => [name, this.#makeTable(name, spec, props)] as const);
    this.tables = Object.fromEntries(made) as Record<TableName, dynamodb.Table>;
  }

  #makeTable(name: string, spec: TableSpec, { stage, key }: { stage: StageProps; key: kms.IKey }): dynamodb.Table {
    return new dynamodb.Table(this, name, {
      tableName: name,
      partitionKey: { name: spec.partitionKey.name, type: KEY_TYPES[spec.partitionKey.type] },
      sortKey: { name: spec.sortKey.name, type: KEY_TYPES[spec.sortKey.type] },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED,
      encryptionKey: key,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: stage.deletionProtection,
      // Whoever deletes this stack did not mean the messages.
      removalPolicy: stage.deletionProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
      ...(spec.ttlAttribute === undefined ? {} : { timeToLiveAttribute: spec.ttlAttribute }),
    });
  }
}
