import { expect, it } from 'vitest';
import { enginesFor } from './engines.ts';

const names = (env: Record<string, string>) => enginesFor(env).map(({ name }) => name);

it('starts SNS only where pushes go by it', () => {
  expect(names({})).toEqual(['kafka', 'redis', 'dynamodb']);
  expect(names({ PUSH_PROVIDER: 'console', SNS_ENDPOINT: 'http://127.0.0.1:1' })).not.toContain('sns');
  expect(names({ PUSH_PROVIDER: 'sns' })).toEqual(['kafka', 'redis', 'dynamodb', 'sns']);
});

it('tells the services that Redis is a cluster only where it starts one', () => {
  const redis = (env: Record<string, string>) => enginesFor(env).find(({ name }) => name === 'redis')!.env;
  expect([redis({}), redis({ REDIS_NODES: '3' })]).toEqual([undefined, { REDIS_CLUSTER: 'true' }]);
  expect(() => enginesFor({ REDIS_NODES: '2' })).toThrow('REDIS_NODES');
});

it('tells of the applications in the region that is set', () => {
  const sns = enginesFor({ PUSH_PROVIDER: 'sns', AWS_REGION: 'eu-west-1' }).find(({ name }) => name === 'sns');
  expect(sns).toMatchObject({
    variable: 'SNS_ENDPOINT',
    env: {
      SNS_APNS_APPLICATION_ARN: 'arn:aws:sns:eu-west-1:000000000000:app/APNS_SANDBOX/restante-local',
      SNS_FCM_APPLICATION_ARN: 'arn:aws:sns:eu-west-1:000000000000:app/GCM/restante-local',
    },
  });
});
