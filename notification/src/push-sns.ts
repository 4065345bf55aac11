import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import {
  CreatePlatformEndpointCommand,
  PublishCommand,
  SetEndpointAttributesCommand,
  SNSClient,
} from '@aws-sdk/client-sns';
import { dropPush, saveEndpoint } from '@restante/shared/inbox/devices-dynamo';
import { awsClientOptions } from '@restante/shared/runtime/aws';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { PUSH_TTL_SECONDS, type Push, type PushOutcome, type PushProvider } from './push.ts';

export type SnsOptions = {
  region: string;
  /** Empty: AWS, by region. */
  endpoint: string | undefined;
  applications: { apns: string | undefined; fcm: string | undefined };
  dynamo: DynamoDBClient;
  logger: Logger;
};

type Registration = NonNullable<Push['registration']>;
const errorName = (error: unknown): string => (error instanceof Error ? error.name : '');

/** An endpoint that is no more: SNS tells it otherwise to Publish than to all else. */
const isGone = (error: unknown): boolean =>
  errorName(error) === 'NotFoundException' ||
  (errorName(error) === 'InvalidParameterException' && /No endpoint found/.test(messageOf(error)));

/**
 * Pushes by SNS: an endpoint per device token, made when it is first needed, enabled again once when SNS has disabled it, and forgotten with
 * its token when it is dead. APNs gets a silent background push, FCM a data message; neither carries a message's text.
 */
export class SnsPush implements PushProvider {
  readonly #client: SNSClient;
  readonly #options: SnsOptions;

  constructor(options: SnsOptions) {
    this.#options = options;
    this.#client = new SNSClient({ ...awsClientOptions(options), maxAttempts: 2 });
  }

  async send(pushes: readonly Push[]): Promise<PushOutcome[]> {
    return Promise.all(pushes.map((push) => this.#sendOne(push)));
  }

  stop(): void {
    this.#client.destroy();
  }

  async #sendOne(push: Push): Promise<PushOutcome> {
    const { registration } = push;
    const application = registration && this.#options.applications[registration.platform];
    if (!registration || !application) return 'no token';
    try {
      const endpoint = registration.endpoint ?? (await this.#makeEndpoint(push, registration, application));
      return await this.#publish(push, registration, application, endpoint);
    } catch (error) {
      this.#options.logger.warn({ user: push.user, device: push.device, err: messageOf(error) }, 'push failed');
      return 'failed';
    }
  }

  async #publish(push: Push, registration: Registration, application: string, endpoint: string): Promise<PushOutcome> {
    try {
      await this.#client.send(
        new PublishCommand({ TargetArn: endpoint, ...snsMessage(push, platformOf(application)) }),
      );
      return 'sent';
    } catch (error) {
      if (isGone(error)) {
        // Deleted behind our back: made again, once.
        const made = await this.#makeEndpoint(push, registration, application);
        await this.#client.send(new PublishCommand({ TargetArn: made, ...snsMessage(push, platformOf(application)) }));
        return 'sent';
      }
      if (errorName(error) !== 'EndpointDisabledException') throw error;
      return this.#enableAndPublish(push, registration, application, endpoint);
    }
  }

  /** A disabled endpoint may only have been disabled for a token that has changed since. Disabled again, the token is dead. */
  async #enableAndPublish(
    push: Push,
    registration: Registration,
    application: string,
    endpoint: string,
  ): Promise<PushOutcome> {
    await this.#enable(endpoint, registration.token);
    try {
      await this.#client.send(
        new PublishCommand({ TargetArn: endpoint, ...snsMessage(push, platformOf(application)) }),
      );
      return 'sent';
    } catch (error) {
      if (errorName(error) !== 'EndpointDisabledException') throw error;
      await dropPush(this.#options.dynamo, push.user, push.device, registration.token);
      this.#options.logger.info({ user: push.user, device: push.device }, 'dead push token dropped');
      return 'dropped';
    }
  }

  async #makeEndpoint(push: Push, { token }: Registration, application: string): Promise<string> {
    const endpoint = await this.#createEndpoint(push, token, application);
    await saveEndpoint(this.#options.dynamo, push.user, push.device, token, endpoint);
    return endpoint;
  }

  async #createEndpoint({ user, device }: Push, token: string, application: string): Promise<string> {
    try {
      const made = await this.#client.send(
        new CreatePlatformEndpointCommand({
          PlatformApplicationArn: application,
          Token: token,
          CustomUserData: `${user} ${device}`,
        }),
      );
      if (!made.EndpointArn) throw new Error('SNS gave no endpoint');
      return made.EndpointArn;
    } catch (error) {
      // The token has an endpoint with other attributes, from before: SNS names it only in the message of its error.
      const existing = /Endpoint (arn:\S+) already exists/.exec(messageOf(error))?.[1];
      if (!existing) throw error;
      await this.#enable(existing, token);
      return existing;
    }
  }

  async #enable(endpoint: string, token: string): Promise<void> {
    await this.#client.send(
      new SetEndpointAttributesCommand({ EndpointArn: endpoint, Attributes: { Enabled: 'true', Token: token } }),
    );
  }
}

type SnsPlatform = 'APNS' | 'APNS_SANDBOX' | 'GCM';

/** From the application's ARN: …:app/APNS_SANDBOX/name. */
function platformOf(application: string): SnsPlatform {
  const platform = application.split(':app/')[1]?.split('/')[0];
  if (platform !== 'APNS' && platform !== 'APNS_SANDBOX' && platform !== 'GCM')
    throw new Error(`${application} is no application for APNS or GCM`);
  return platform;
}

/** The message as SNS takes it: JSON in JSON, one part a platform (SNS, "Publishing to a mobile device"). */
export function snsMessage({ pending, urgent, collapseKey }: Push, platform: SnsPlatform) {
  const data = { type: 'restante', pending: String(pending) };
  if (platform === 'GCM') {
    const android = { priority: urgent ? 'high' : 'normal', collapse_key: collapseKey, ttl: `${PUSH_TTL_SECONDS}s` };
    return {
      MessageStructure: 'json',
      Message: JSON.stringify({
        default: 'restante',
        GCM: JSON.stringify({ fcmV1Message: { message: { data, android } } }),
      }),
    };
  }
  const attribute = (value: string) => ({ DataType: 'String', StringValue: value });
  return {
    MessageStructure: 'json',
    Message: JSON.stringify({
      default: 'restante',
      [platform]: JSON.stringify({ aps: { 'content-available': 1 }, ...data }),
    }),
    MessageAttributes: {
      // Apple takes a background push with priority 5 only.
      'AWS.SNS.MOBILE.APNS.PUSH_TYPE': attribute('background'),
      'AWS.SNS.MOBILE.APNS.PRIORITY': attribute('5'),
      'AWS.SNS.MOBILE.APNS.COLLAPSE_ID': attribute(collapseKey),
      [`AWS.SNS.MOBILE.${platform}.TTL`]: attribute(String(PUSH_TTL_SECONDS)),
    },
  };
}
