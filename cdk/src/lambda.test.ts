import { createServer } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { answer } from '../lambda/cloudformation.mjs';
import { credentialAttributes } from '../lambda/push-credentials.mjs';

/** What the functions of the stacks share; the calls to AWS around it are Lambda's own SDK. */
describe('an answer to CloudFormation', () => {
  const received: Record<string, unknown>[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ method: request.method, ...JSON.parse(Buffer.concat(chunks).toString('utf8')) });
      response.writeHead(200).end();
    });
  });
  let event: Record<string, string>;

  beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve())));
  afterAll(() => new Promise((resolve) => server.close(resolve)));
  beforeEach(() => {
    received.length = 0;
    const { port } = server.address() as { port: number };
    event = {
      ResponseURL: `http://127.0.0.1:${port}/answer`,
      StackId: 's',
      RequestId: 'r',
      LogicalResourceId: 'Thing',
    };
  });

  test('success, with what the work found', async () => {
    await answer(event, async () => ({ id: 'arn:thing', data: { Brokers: 'b:9098' } }));
    expect(received).toEqual([
      {
        method: 'PUT',
        StackId: 's',
        RequestId: 'r',
        LogicalResourceId: 'Thing',
        Status: 'SUCCESS',
        PhysicalResourceId: 'arn:thing',
        Data: { Brokers: 'b:9098' },
      },
    ]);
  });

  test('an update keeps the identity that it was given, or CloudFormation would delete the old one', async () => {
    await answer({ ...event, PhysicalResourceId: 'arn:old' }, async () => ({}));
    expect(received).toMatchObject([{ Status: 'SUCCESS', PhysicalResourceId: 'arn:old' }]);
  });

  test('a failure is an answer too, with its reason', async () => {
    // It is logged too, for CloudWatch.
    vi.spyOn(console, 'error').mockImplementationOnce(() => {});
    await answer(event, async () => {
      throw new RangeError('no listener');
    });
    expect(received).toMatchObject([
      { Status: 'FAILED', Reason: 'RangeError: no listener', PhysicalResourceId: 'Thing-failed' },
    ]);
  });
});

describe('credentials of a push platform', () => {
  test('FCM: the service account as it is', () => {
    expect(credentialAttributes('GCM', '{"type":"service_account"}')).toEqual({
      PlatformCredential: '{"type":"service_account"}',
    });
  });

  test('APNs: by token', () => {
    const secret = JSON.stringify({ signingKey: 'KEY', keyId: 'K', teamId: 'T', bundleId: 'B' });
    expect(credentialAttributes('APNS', secret)).toEqual({
      PlatformCredential: 'KEY',
      PlatformPrincipal: 'K',
      ApplePlatformTeamID: 'T',
      ApplePlatformBundleID: 'B',
    });
  });

  test('what is missing is named', () => {
    expect(() => credentialAttributes('APNS', '{"signingKey":"KEY","teamId":"T"}')).toThrow(
      'the secret lacks keyId, bundleId',
    );
  });
});
