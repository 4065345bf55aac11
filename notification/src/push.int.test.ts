import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import {
  CreatePlatformEndpointCommand,
  DeleteEndpointCommand,
  GetEndpointAttributesCommand,
  SetEndpointAttributesCommand,
  SNSClient,
} from '@aws-sdk/client-sns';
import type { Engine } from '@restante/localstack/engine';
import { applicationsEnv } from '@restante/localstack/init/push-applications';
import { LOCALSTACK_UP_MS, startSns } from '@restante/localstack/sns-engine';
import { ensureDevice, readDevices, setPush } from '@restante/shared/inbox/devices-dynamo';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { createLogger } from '@restante/shared/runtime/logger';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COLLAPSE_KEY, type Push, type PushProvider } from './push.ts';
import { ConsolePush } from './push-console.ts';
import { SnsPush } from './push-sns.ts';

const REGION = 'us-east-1';
const { SNS_APNS_APPLICATION_ARN: APNS, SNS_FCM_APPLICATION_ARN: FCM } = applicationsEnv(REGION);

const dir = mkdtempSync(join(tmpdir(), 'restante-push-'));
const dynamo = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: REGION });
const logger = createLogger('test', 'silent');
let engine: Engine | undefined;
let sns: SNSClient;
let snsPush: SnsPush;

const pushTo = (endpoint: string) =>
  new SnsPush({ region: REGION, endpoint, applications: { apns: APNS, fcm: FCM }, dynamo, logger });

beforeAll(async () => {
  engine = await startSns({ dataDir: join(dir, 'sns') }, REGION, (line) => process.stderr.write(`${line}\n`));
  sns = new SNSClient({
    region: REGION,
    endpoint: engine.url,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  snsPush = pushTo(engine.url);
}, LOCALSTACK_UP_MS);

afterAll(async () => {
  snsPush?.stop();
  sns?.destroy();
  dynamo.destroy();
  await engine?.kill();
  rmSync(dir, { recursive: true, force: true });
});

type Platform = 'apns' | 'fcm';

async function device(platform: Platform | undefined, user: string = randomUUID()): Promise<Push> {
  const name = randomUUID();
  await ensureDevice(dynamo, user, name, Date.now(), 'first', async () => new Map());
  if (platform) await setPush(dynamo, user, name, { platform, token: tokenOf(platform) });
  return asPush(user, name);
}

/** As the due worker makes it: from the row as it is now. */
async function asPush(user: string, name: string): Promise<Push> {
  const row = (await readDevices(dynamo, user)).find((one) => one.device === name);
  const common = { silent: true, collapseKey: COLLAPSE_KEY, pending: 3, urgent: true };
  return { user, device: name, registration: row?.push, ...common };
}
const again = ({ user, device: name }: Push): Promise<Push> => asPush(user, name);

/** Apple's tokens are of hex digits. */
const tokenOf = (platform: Platform): string =>
  platform === 'apns' ? randomUUID().replaceAll('-', '').repeat(2) : `fcm-${randomUUID()}`;

type Published = { Message: string; MessageAttributes?: Record<string, { StringValue?: string }> };

async function published(): Promise<Record<string, Published[]>> {
  const query = `accountId=000000000000&region=${REGION}`;
  const response = await fetch(`${engine!.url}/_aws/sns/platform-endpoint-messages?${query}`);
  const body = (await response.json()) as { platform_endpoint_messages: Record<string, Published[]> };
  return body.platform_endpoint_messages;
}

const publishedTo = async (endpoint: string | undefined) => (await published())[endpoint ?? ''] ?? [];

async function attributesOf(endpoint: string | undefined): Promise<Record<string, string>> {
  const { Attributes } = await sns.send(new GetEndpointAttributesCommand({ EndpointArn: endpoint }));
  return Attributes ?? {};
}

const disable = (endpoint: string | undefined) =>
  sns.send(new SetEndpointAttributesCommand({ EndpointArn: endpoint, Attributes: { Enabled: 'false' } }));

/** Passes all on to the engine, and disables the endpoint after each change of it, as SNS does when Google refuses its token. */
async function disablingFront(endpoint: string | undefined): Promise<{ url: string; close(): void }> {
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const headers = {
      'content-type': request.headers['content-type'] ?? '',
      authorization: request.headers.authorization ?? '',
    };
    const answer = await fetch(`${engine!.url}${request.url}`, { method: 'POST', headers, body });
    const content = await answer.text();
    if (body.includes('SetEndpointAttributes')) await disable(endpoint);
    response
      .writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/xml' })
      .end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

/** LocalStack gives back JSON in JSON. */
function parsed(json: unknown): unknown {
  return typeof json === 'string' ? parsed(JSON.parse(json)) : json;
}

/** A provider, one whose store is away, and what went out to a device. */
type Provider = {
  name: string;
  provider(): PushProvider;
  away(): PushProvider;
  out(push: Push): Promise<string[]>;
  /** What goes out for a device without a token. */
  withoutToken: number;
};

const consoleDir = join(dir, 'console');
const providers: Provider[] = [
  {
    name: 'ConsolePush',
    provider: () => new ConsolePush(consoleDir, logger),
    away() {
      const file = join(dir, 'no-folder');
      writeFileSync(file, '');
      return new ConsolePush(file, logger);
    },
    async out({ device: name }) {
      const lines = readFileSync(join(consoleDir, 'pushes.jsonl'), 'utf8').trim().split('\n');
      return lines.filter((line) => (JSON.parse(line) as { device: string }).device === name);
    },
    withoutToken: 1,
  },
  {
    name: 'SnsPush',
    provider: () => snsPush,
    away: () => pushTo('http://127.0.0.1:1'),
    async out(push) {
      const { registration } = await again(push);
      return (await publishedTo(registration?.endpoint)).map((one) => JSON.stringify(one));
    },
    withoutToken: 0,
  },
];

describe.each(providers)('$name', ({ provider, away, out, withoutToken }) => {
  it('sends one to each device that has a token, and answers in their order', async () => {
    const user = randomUUID();
    const pushes = [await device('apns', user), await device(undefined, user), await device('fcm', user)];
    expect(await provider().send(pushes)).toEqual(['sent', 'no token', 'sent']);
    const counts = await Promise.all(pushes.map(async (push) => (await out(push)).length));
    expect(counts).toEqual([1, withoutToken, 1]);
  });

  it('says how much is waiting, and neither token nor body', async () => {
    const push = await device('fcm');
    expect(await provider().send([push])).toEqual(['sent']);
    const [line] = await out(push);
    expect(line).toMatch(/pending\W+3/);
    expect(line).not.toContain(push.registration!.token);
    expect(line).not.toMatch(/body|alert|text|notification/);
  });

  it('says failed, and does not throw, where it cannot send', async () => {
    const pushes = [await device('apns'), await device('fcm')];
    expect(await away().send(pushes)).toEqual(['failed', 'failed']);
  });

  it('has nothing to say about nobody', async () => {
    expect(await provider().send([])).toEqual([]);
  });
});

describe('SnsPush and its endpoints', () => {
  it('makes an endpoint once and keeps it in the row', async () => {
    const push = await device('fcm');
    await snsPush.send([push]);
    const second = await again(push);
    expect(second.registration?.endpoint).toContain(':endpoint/GCM/restante-local/');
    expect(await attributesOf(second.registration?.endpoint)).toMatchObject({ Token: push.registration!.token });
    expect(await snsPush.send([second])).toEqual(['sent']);
    expect((await again(push)).registration?.endpoint).toBe(second.registration?.endpoint);
    expect(await publishedTo(second.registration?.endpoint)).toHaveLength(2);
  });

  it('makes another one for a token that has changed', async () => {
    const push = await device('apns');
    await snsPush.send([push]);
    const first = (await again(push)).registration?.endpoint;
    const token = tokenOf('apns');
    await setPush(dynamo, push.user, push.device, { platform: 'apns', token });
    expect(await snsPush.send([await again(push)])).toEqual(['sent']);
    const second = (await again(push)).registration?.endpoint;
    expect(second).not.toBe(first);
    expect(await attributesOf(second)).toMatchObject({ Token: token });
    expect(await publishedTo(first)).toHaveLength(1);
    expect(await publishedTo(second)).toHaveLength(1);
  });

  it('enables a disabled endpoint again', async () => {
    const push = await device('fcm');
    await snsPush.send([push]);
    const { registration } = await again(push);
    await disable(registration?.endpoint);
    expect(await snsPush.send([await again(push)])).toEqual(['sent']);
    expect(await attributesOf(registration?.endpoint)).toMatchObject({ Enabled: 'true' });
    expect(await publishedTo(registration?.endpoint)).toHaveLength(2);
  });

  it('forgets a token whose endpoint is disabled again at once', async () => {
    const push = await device('fcm');
    await snsPush.send([push]);
    const { registration } = await again(push);
    await disable(registration?.endpoint);
    const front = await disablingFront(registration?.endpoint);
    const provider = pushTo(front.url);
    expect(await provider.send([await again(push)])).toEqual(['dropped']);
    expect((await again(push)).registration).toBeUndefined();
    expect(await publishedTo(registration?.endpoint)).toHaveLength(1);
    provider.stop();
    front.close();
  });

  it('makes an endpoint anew that was deleted behind our back', async () => {
    const push = await device('fcm');
    await snsPush.send([push]);
    const first = (await again(push)).registration?.endpoint;
    await sns.send(new DeleteEndpointCommand({ EndpointArn: first }));
    expect(await snsPush.send([await again(push)])).toEqual(['sent']);
    const second = (await again(push)).registration?.endpoint;
    expect(second).not.toBe(first);
    expect(await publishedTo(second)).toHaveLength(1);
  });

  it('takes over an endpoint of the token that has other attributes', async () => {
    const push = await device('apns');
    const Attributes = { Enabled: 'false', CustomUserData: 'somebody else' };
    const Token = push.registration!.token;
    const made = await sns.send(new CreatePlatformEndpointCommand({ PlatformApplicationArn: APNS, Token, Attributes }));
    expect(await snsPush.send([push])).toEqual(['sent']);
    expect((await again(push)).registration?.endpoint).toBe(made.EndpointArn);
    expect(await attributesOf(made.EndpointArn)).toMatchObject({ Enabled: 'true', Token });
  });

  it('pushes to nobody whose platform has no application', async () => {
    const options = { region: REGION, endpoint: engine!.url, dynamo, logger };
    const provider = new SnsPush({ ...options, applications: { apns: undefined, fcm: FCM } });
    expect(await provider.send([await device('apns'), await device('fcm')])).toEqual(['no token', 'sent']);
    provider.stop();
  });
});

describe('what SnsPush publishes', () => {
  const sent = async (platform: Platform, more: Partial<Push> = {}) => {
    const push = await device(platform);
    expect(await snsPush.send([{ ...push, ...more }])).toEqual(['sent']);
    const [message] = await publishedTo((await again(push)).registration?.endpoint);
    return message!;
  };

  it('to Apple is a background push that replaces the one before it', async () => {
    const { Message, MessageAttributes } = await sent('apns');
    const payload = parsed(Message);
    expect(payload).toEqual({ aps: { 'content-available': 1 }, type: 'restante', pending: '3' });
    const values = Object.entries(MessageAttributes ?? {}).map(([name, { StringValue }]) => [name, StringValue]);
    expect(Object.fromEntries(values)).toEqual({
      'AWS.SNS.MOBILE.APNS.PUSH_TYPE': 'background',
      'AWS.SNS.MOBILE.APNS.PRIORITY': '5',
      'AWS.SNS.MOBILE.APNS.COLLAPSE_ID': COLLAPSE_KEY,
      'AWS.SNS.MOBILE.APNS_SANDBOX.TTL': '86400',
    });
  });

  it.each([
    [true, 'high'],
    [false, 'normal'],
  ])('to Google is a data message, urgent %s as priority %s', async (urgent, priority) => {
    const { Message } = await sent('fcm', { urgent });
    expect(parsed(Message)).toEqual({
      fcmV1Message: {
        message: {
          data: { type: 'restante', pending: '3' },
          android: { priority, collapse_key: COLLAPSE_KEY, ttl: '86400s' },
        },
      },
    });
  });
});
