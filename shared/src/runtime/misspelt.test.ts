import { expect, test } from 'vitest';
import { misspelt } from './misspelt.ts';
import { readSettings, SETTINGS } from './settings.ts';

const known = Object.keys(SETTINGS);

test.each([
  ['KAFKA_BROKER', 'KAFKA_BROKERS'],
  ['REDIS_ULR', 'REDIS_URL'],
  ['JWT_SECERT', 'JWT_SECRET'],
  ['jwt_secret', 'JWT_SECRET'],
  ['INBOX_RETENTION_SECOND', 'INBOX_RETENTION_SECONDS'],
  ['ALLOWED__ORIGINS', 'ALLOWED_ORIGINS'],
  ['CONECTIONS_PER_USERS', 'CONNECTIONS_PER_USER'],
])('%s is taken for %s', (name, near) => {
  expect(misspelt([name], known)).toEqual([[name, near]]);
  expect(() => readSettings(['LOG_LEVEL'], { [name]: 'x' })).toThrow(
    `bad settings: ${name} is no setting: did you mean ${near}?`,
  );
});

test('what other programs put into an environment is no error', () => {
  const foreign = `PATH HOME PWD SHELL USER TERM LANG HOSTNAME SHLVL _ NODE_OPTIONS NODE_PATH npm_config_cache CI TZ
    AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_DEFAULT_REGION AWS_EXECUTION_ENV
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ECS_CONTAINER_METADATA_URI_V4 KUBERNETES_SERVICE_HOST KUBERNETES_PORT
    REDIS_PORT REDIS_SERVICE_HOST KAFKA_PORT KAFKA_HOME KAFKA_OPTS GATEWAY_PORT MESSAGING_PORT SPORT GHOST REPORT
    HTTP_PROXY NO_PROXY SSH_AUTH_SOCK CHROMIUM RESTANTE_ROOT RESTANTE_TOKEN RESTANTE_GATEWAY VITEST_POOL_ID`;
  expect(misspelt(foreign.split(/\s+/), known)).toEqual([]);
});

test('no setting is taken for another', () => {
  expect(misspelt(known, known)).toEqual([]);
});
