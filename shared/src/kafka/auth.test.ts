import { afterEach, expect, test, vi } from 'vitest';
import { kafkaAuth } from './auth.ts';

afterEach(() => vi.unstubAllEnvs());

test('a Kafka on one machine is asked by nobody in particular, in the clear', () => {
  expect(kafkaAuth({ KAFKA_AUTH: 'none', AWS_REGION: 'eu-central-1' })).toEqual({});
});

test("MSK gets a request to connect, signed by the process's role for its region, over TLS", async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  const { ssl, sasl } = kafkaAuth({ KAFKA_AUTH: 'msk-iam', AWS_REGION: 'eu-central-1' });
  expect(ssl).toBe(true);
  if (sasl === undefined || !('oauthBearerProvider' in sasl)) throw new Error(`mechanism ${sasl?.mechanism}`);
  const { value } = await sasl.oauthBearerProvider();
  const signed = new URL(Buffer.from(value, 'base64url').toString());
  expect(signed.host).toBe('kafka.eu-central-1.amazonaws.com');
  expect(signed.searchParams.get('Action')).toBe('kafka-cluster:Connect');
  expect(signed.searchParams.get('X-Amz-Credential')).toMatch(/^AKIDEXAMPLE\/\d{8}\/eu-central-1\/kafka-cluster\//);
  expect(signed.searchParams.get('X-Amz-Expires')).toBe('900');
  expect(signed.searchParams.get('X-Amz-Signature')).toMatch(/^[0-9a-f]{64}$/);
});
