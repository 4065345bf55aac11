import { CreatePlatformApplicationCommand, SNSClient } from '@aws-sdk/client-sns';
import { awsClientOptions } from '@restante/shared/runtime/aws';

/**
 * The platform applications of one machine, where SNS pushes to nobody: their names make the ARNs that notification is told,
 * as they do in AWS (cdk/src/push-stack.ts).
 */
export const LOCAL_APPLICATIONS = [
  { platform: 'APNS_SANDBOX', name: 'restante-local', setting: 'SNS_APNS_APPLICATION_ARN' },
  { platform: 'GCM', name: 'restante-local', setting: 'SNS_FCM_APPLICATION_ARN' },
] as const;
/** LocalStack's one account. */
const ACCOUNT = '000000000000';

const applicationArn = (region: string, { platform, name }: (typeof LOCAL_APPLICATIONS)[number]): string =>
  `arn:aws:sns:${region}:${ACCOUNT}:app/${platform}/${name}`;

/** What notification is told of them. */
export const applicationsEnv = (region: string) =>
  Object.fromEntries(LOCAL_APPLICATIONS.map((one) => [one.setting, applicationArn(region, one)])) as ApplicationsEnv;
type ApplicationsEnv = Record<(typeof LOCAL_APPLICATIONS)[number]['setting'], string>;

/** Makes the applications. To make one again is no error: SNS gives back the one that is there. */
export async function ensurePushApplications(endpoint: string, region: string): Promise<string[]> {
  const sns = new SNSClient(awsClientOptions({ endpoint, region }));
  try {
    const made: string[] = [];
    for (const application of LOCAL_APPLICATIONS) {
      const { PlatformApplicationArn } = await sns.send(
        new CreatePlatformApplicationCommand({
          Name: application.name,
          Platform: application.platform,
          // No push leaves the machine, so nothing is behind these.
          Attributes: { PlatformCredential: 'local', PlatformPrincipal: 'local' },
        }),
      );
      const expected = applicationArn(region, application);
      if (PlatformApplicationArn !== expected)
        throw new Error(`SNS made ${PlatformApplicationArn}, ${expected} was expected`);
      made.push(expected);
    }
    return made;
  } finally {
    sns.destroy();
  }
}
