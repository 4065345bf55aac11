import { fileURLToPath } from 'node:url';
import { type CfnResource, CustomResource, Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { StageProps } from './stages.ts';

/** Plain files for Lambda's own SDK: there is nothing to build, so synthesis needs no bundler and no Docker. */
const LAMBDA_DIRECTORY = fileURLToPath(new URL('../lambda', import.meta.url));
export const HANDLER_DEADLINE = Duration.minutes(14);

type HandlerProps = {
  stage: StageProps;
  handler: 'bootstrap-brokers' | 'run-task' | 'push-application';
  about: string;
  statements: iam.PolicyStatement[];
  logsKey: kms.IKey;
};

/** A function that answers CloudFormation, with a role of its own that may do `statements`, write its log and nothing else. */
export function makeHandler(scope: Construct, id: string, props: HandlerProps): lambda.Function {
  const logGroup = new logs.LogGroup(scope, `${id}Log`, {
    logGroupName: `/restante/${props.stage.name}/deployment/${props.handler}`,
    retention: props.stage.logRetentionDays,
    encryptionKey: props.logsKey,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const role = new iam.Role(scope, `${id}Role`, {
    assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    description: props.about,
  });
  const handler = new lambda.Function(scope, id, {
    description: props.about,
    runtime: lambda.Runtime.NODEJS_24_X,
    architecture: lambda.Architecture.ARM_64,
    code: lambda.Code.fromAsset(LAMBDA_DIRECTORY, { exclude: ['*.d.mts'] }),
    handler: `${props.handler}.handler`,
    timeout: Duration.minutes(15),
    memorySize: 256,
    role,
    logGroup,
  });
  for (const statement of props.statements) role.addToPolicy(statement);
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      resources: [logGroup.logGroupArn],
    }),
  );
  return handler;
}

export function callHandler(
  scope: Construct,
  id: string,
  handler: lambda.Function,
  properties: Record<string, unknown>,
): CustomResource {
  const resource = new CustomResource(scope, id, { serviceToken: handler.functionArn, properties });
  // Not by `serviceTimeout`, which becomes a string where CloudFormation wants a number.
  (resource.node.defaultChild as CfnResource).addPropertyOverride('ServiceTimeout', Duration.minutes(16).toSeconds());
  // Its rights must be there before it is called, and until it has been called for the last time.
  resource.node.addDependency(handler.role!);
  return resource;
}
