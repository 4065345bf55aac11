import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '@restante/localstack/engine';
import { applicationsEnv } from '@restante/localstack/init/push-applications';
import { LOCALSTACK_UP_MS, startSns } from '@restante/localstack/sns-engine';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { type Stack, startStack } from './support/stack.ts';

/** SNS is away when somebody has to be woken: the message waits in the inbox, the push is tried until it goes out. */
const REGION = 'us-east-1';
const dataDir = mkdtempSync(join(tmpdir(), 'restante-sns-'));
let sns: Engine;
let stack: Stack;

beforeAll(async () => {
  sns = await startSns({ dataDir }, REGION);
  const env = { PUSH_PROVIDER: 'sns', SNS_ENDPOINT: sns.url, ...applicationsEnv(REGION) };
  stack = await startStack({ gateways: 1, env });
}, LOCALSTACK_UP_MS);
afterAll(async () => {
  await stack?.stop();
  await sns?.kill();
  rmSync(dataDir, { recursive: true, force: true });
});

const account = async (user: string) => ({
  url: stack.gatewayUrls[0]!,
  user,
  device: 'phone',
  token: await stack.token(user),
});

/** Pushes of an outcome, by notification's own count. */
async function pushes(outcome: string): Promise<number> {
  const { adminUrl } = stack.run.services.find(({ name }) => name === 'notification-1')!;
  const { text } = await call(adminUrl, '/metrics');
  return Number(
    new RegExp(`^restante_notification_pushes_total\\{outcome="${outcome}"\\} (\\d+)`, 'm').exec(text)?.[1],
  );
}

async function published(): Promise<unknown[]> {
  const query = `accountId=000000000000&region=${REGION}`;
  const { json } = await call(sns.url, `/_aws/sns/platform-endpoint-messages?${query}`);
  return Object.values(json.platform_endpoint_messages as Record<string, unknown[]>).flat();
}

test('SNS is away and comes back empty: the push that it refused goes out, and the message is there', async () => {
  const bob = await account('bob');
  await (await TestClient.drained(bob)).close();
  const push = { push: { platform: 'fcm', token: 'token-of-bob' } };
  const put = await call(bob.url, '/v1/devices/phone', { method: 'PUT', token: bob.token, body: push });
  expect(put.status).toBe(204);
  await sns.kill();
  const alice = await TestClient.drained(await account('alice'));
  alice.send({ t: 'send', id: 'wake-up-1', to: 'bob', body: 'are you there?' });
  await vi.waitFor(async () => expect(await pushes('failed')).toBeGreaterThan(0), { timeout: 30_000, interval: 100 });
  sns = await startSns({ dataDir, port: Number(new URL(sns.url).port) }, REGION);
  await vi.waitFor(async () => expect(await published()).toHaveLength(1), { timeout: 90_000, interval: 200 });
  const back = await TestClient.drained(bob);
  expect(back.messages.map(({ id }) => id)).toEqual(['wake-up-1']);
  await Promise.all([alice.close(), back.close()]);
});
