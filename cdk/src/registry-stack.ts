import type { ServiceName } from '@restante/shared/runtime/permissions';
import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import type { Construct } from 'constructs';
import type { StageProps } from './stages.ts';

export type ImageName = ServiceName | 'setup';
export const IMAGES: readonly ImageName[] = ['gateway', 'messaging', 'notification', 'setup'];
export const repositoryName = (stage: StageProps, image: ImageName): string => `restante-${stage.name}/${image}`;

/**
 * Where the images are pushed to before the rest is deployed. A tag is never overwritten, so that a rollback runs what ran
 * then, and every push is scanned.
 */
export class RegistryStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps & { stage: StageProps }) {
    super(scope, id, props);
    for (const image of IMAGES) {
      const repository = new ecr.Repository(this, `${image}Images`, {
        repositoryName: repositoryName(props.stage, image),
        imageTagMutability: ecr.TagMutability.IMMUTABLE,
        imageScanOnPush: true,
        encryption: ecr.RepositoryEncryption.KMS,
        removalPolicy: props.stage.deletionProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
        emptyOnDelete: !props.stage.deletionProtection,
        lifecycleRules: [
          { tagStatus: ecr.TagStatus.UNTAGGED, maxImageAge: Duration.days(7) },
          { description: 'As many releases as one may go back to', maxImageCount: 50 },
        ],
      });
      new CfnOutput(this, `${image}Repository`, { value: repository.repositoryUri });
    }
  }
}
