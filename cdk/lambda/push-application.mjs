import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  CreatePlatformApplicationCommand,
  DeletePlatformApplicationCommand,
  SetPlatformApplicationAttributesCommand,
  SNSClient,
} from '@aws-sdk/client-sns';
import { answer } from './cloudformation.mjs';
import { credentialAttributes } from './push-credentials.mjs';

const sns = new SNSClient({});
const secrets = new SecretsManagerClient({});

/**
 * An SNS platform application, which CloudFormation has no resource for. Its credential goes from Secrets Manager to SNS
 * in here, so that it is in no template, no parameter and no log.
 */
export const handler = (event) =>
  answer(event, async () => {
    const { Name, Platform, SecretArn, FeedbackRoleArn } = event.ResourceProperties;
    if (event.RequestType === 'Delete') {
      if (event.PhysicalResourceId.startsWith('arn:')) {
        await sns.send(new DeletePlatformApplicationCommand({ PlatformApplicationArn: event.PhysicalResourceId }));
      }
      return {};
    }
    const secret = await secrets.send(new GetSecretValueCommand({ SecretId: SecretArn }));
    const Attributes = {
      ...credentialAttributes(Platform, secret.SecretString),
      FailureFeedbackRoleArn: FeedbackRoleArn,
      SuccessFeedbackSampleRate: '0',
    };
    if (
      event.RequestType === 'Update' &&
      event.OldResourceProperties.Name === Name &&
      event.OldResourceProperties.Platform === Platform
    ) {
      await sns.send(
        new SetPlatformApplicationAttributesCommand({ PlatformApplicationArn: event.PhysicalResourceId, Attributes }),
      );
      return { id: event.PhysicalResourceId, data: { Arn: event.PhysicalResourceId } };
    }
    const made = await sns.send(new CreatePlatformApplicationCommand({ Name, Platform, Attributes }));
    return { id: made.PlatformApplicationArn, data: { Arn: made.PlatformApplicationArn } };
  });
