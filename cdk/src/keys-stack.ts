import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import type { StageProps } from './stages.ts';

/**
 * A key for each kind of thing that is at rest, so that a role that may decrypt one can't decrypt the others. They stay
 * when the stack is deleted: a backup without its key is none.
 */
export class KeysStack extends Stack {
  readonly data: kms.Key;
  readonly broker: kms.Key;
  readonly logs: kms.Key;

  constructor(scope: Construct, id: string, props: StackProps & { stage: StageProps }) {
    super(scope, id, props);
    this.data = this.makeKey('Data', `Restante ${props.stage.name}: tables, cache and secrets`);
    this.broker = this.makeKey('Broker', `Restante ${props.stage.name}: Kafka`);
    this.logs = this.makeKey('Logs', `Restante ${props.stage.name}: logs and alarms`);
    this.allowLogGroups(props.stage);
    // An alarm that can't encrypt its notification is silent.
    this.logs.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['kms:Decrypt', 'kms:GenerateDataKey*'],
        resources: ['*'],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
  }

  private makeKey(id: string, description: string): kms.Key {
    return new kms.Key(this, id, { description, enableKeyRotation: true, pendingWindow: Duration.days(30) });
  }

  /** In a key's policy `*` means this key; the condition names whose log groups it may serve. */
  private allowLogGroups(stage: StageProps): void {
    this.logs.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal(`logs.${this.region}.amazonaws.com`)],
        actions: ['kms:Encrypt*', 'kms:Decrypt*', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:Describe*'],
        resources: ['*'],
        conditions: {
          ArnLike: {
            'kms:EncryptionContext:aws:logs:arn': `arn:${this.partition}:logs:${this.region}:${this.account}:log-group:/restante/${stage.name}/*`,
          },
        },
      }),
    );
  }
}
