import { Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import type { StageProps } from './stages.ts';

type Props = StackProps & { stage: StageProps; keptDays: number };

/** Given by us, so that others know it without asking this stack; of all accounts and regions there may be one of a name. */
export const attachmentsBucketName = (scope: Construct, stage: StageProps): string =>
  `restante-${stage.name}-attachments-${Stack.of(scope).account}-${stage.region}`;

/** The files of messages. Clients put them by addresses that a gateway has signed; how they are read is for who deploys this to say. */
export class AttachmentsStack extends Stack {
  constructor(scope: Construct, id: string, { stage, keptDays, ...props }: Props) {
    super(scope, id, props);
    const bucket = new s3.Bucket(this, 'Bucket', {
      bucketName: attachmentsBucketName(this, stage),
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      encryption: s3.BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      lifecycleRules: [{ expiration: Duration.days(keptDays), abortIncompleteMultipartUploadAfter: Duration.days(1) }],
      // The signature says who may put what; which page asks for it says nothing.
      cors: [{ allowedMethods: [s3.HttpMethods.PUT], allowedOrigins: ['*'], allowedHeaders: ['*'], maxAge: 3600 }],
      removalPolicy: stage.deletionProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    acknowledge(bucket, {
      'AwsSolutions-S1':
        'Each upload is signed by a gateway, whose log says for whom; a log of requests would say no more.',
    });
  }
}
