import { Stack, type StackProps } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { callHandler, makeHandler } from './custom-resource.ts';
import type { PushPlatform, StageProps } from './stages.ts';

export type PushApplication = { platform: PushPlatform; name: string; arn: string; endpointsArn: string };

/** The secret that an operator makes before this stack is deployed: docs/deploy.md, "Push". */
export const pushSecretName = (stage: StageProps, platform: PushPlatform): string =>
  `restante/${stage.name}/push/${platform === 'GCM' ? 'fcm' : 'apns'}`;

/** SNS platform applications, one for each platform of the stage. */
export class PushStack extends Stack {
  readonly applications: readonly PushApplication[];

  constructor(scope: Construct, id: string, props: StackProps & { stage: StageProps; logsKey: kms.IKey }) {
    super(scope, id, props);
    const { stage } = props;
    const applications = stage.push.map((platform) => this.#describe(stage, platform));
    const secrets = new Map(
      applications.map((application) => [
        application,
        secretsmanager.Secret.fromSecretNameV2(
          this,
          `${application.platform}Secret`,
          pushSecretName(stage, application.platform),
        ),
      ]),
    );
    const feedbackRole = this.#makeFeedbackRole(applications);
    const handler = makeHandler(this, 'PushApplication', {
      stage,
      handler: 'push-application',
      about: 'Makes the platform applications of SNS from their credentials',
      logsKey: props.logsKey,
      statements: [
        // CreatePlatformApplication names nothing that exists yet; the pattern is the ARN that it will have.
        new iam.PolicyStatement({
          actions: [
            'sns:CreatePlatformApplication',
            'sns:DeletePlatformApplication',
            'sns:SetPlatformApplicationAttributes',
          ],
          resources: applications.map(({ arn }) => arn),
        }),
        new iam.PolicyStatement({
          actions: ['secretsmanager:GetSecretValue'],
          resources: [...secrets.values()].map((secret) => `${secret.secretArn}-??????`),
        }),
        new iam.PolicyStatement({ actions: ['iam:PassRole'], resources: [feedbackRole.roleArn] }),
      ],
    });
    for (const [application, secret] of secrets) {
      callHandler(this, `${application.platform}Application`, handler, {
        Name: application.name,
        Platform: application.platform,
        SecretArn: secret.secretArn,
        FeedbackRoleArn: feedbackRole.roleArn,
      });
    }
    this.applications = applications;
  }

  /** Names are ours, so ARNs are known before the applications are made. */
  #describe(stage: StageProps, platform: PushPlatform): PushApplication {
    const name = `restante-${stage.name}`;
    const arn = (kind: 'app' | 'endpoint', more: string): string =>
      `arn:${this.partition}:sns:${this.region}:${this.account}:${kind}/${platform}/${name}${more}`;
    return { platform, name, arn: arn('app', ''), endpointsArn: arn('endpoint', '/*') };
  }

  /** SNS writes why a push failed to log groups that it names itself. */
  #makeFeedbackRole(applications: readonly PushApplication[]): iam.Role {
    const role = new iam.Role(this, 'FeedbackRole', {
      assumedBy: new iam.ServicePrincipal('sns.amazonaws.com'),
      description: 'Lets SNS log failed pushes',
    });
    const groups = applications.map(
      ({ platform, name }) =>
        `arn:${this.partition}:logs:${this.region}:${this.account}:log-group:sns/${this.region}/${this.account}/app/${platform}/${name}/*`,
    );
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents', 'logs:PutRetentionPolicy'],
        resources: groups,
      }),
    );
    for (const { platform, name } of applications) {
      acknowledge(role, {
        [`AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:${this.region}:<AWS::AccountId>:log-group:sns/${this.region}/<AWS::AccountId>/app/${platform}/${name}/*]`]:
          'SNS appends /Failure and its own stream names to the name of the application.',
      });
    }
    return role;
  }
}
