import { readFileSync } from 'node:fs';
import { readConfig as readGatewayConfig } from '@restante/gateway/config';
import { LOCAL_APPLICATIONS } from '@restante/localstack/init/push-applications';
import { readConfig as readMessagingConfig } from '@restante/messaging/config';
import { readConfig as readNotificationConfig } from '@restante/notification/config';
import { TOPIC_SETTINGS, topicSpecs } from '@restante/shared/kafka/topics';
import { cloudWatchName } from '@restante/shared/runtime/cloudwatch-metrics';
import { readSettings, SETTINGS, type SettingName } from '@restante/shared/runtime/settings';
import { TABLES, type TableSpec } from '@restante/shared/runtime/tables';
import { register } from 'prom-client';
import { describe, expect, test } from 'vitest';
import '@restante/gateway/events';
import '@restante/messaging/events';
import '@restante/notification/events';
import { registerDueGauges } from '@restante/notification/due-gauges';
import { SERVICES, type ServiceName } from '@restante/shared/runtime/permissions';
import { SERVICE_METRICS } from './metrics.ts';
import { STAGES } from './stages.ts';
import { flat, synthesize } from './synthesized.ts';

/** The stacks, the compose file and the processes must mean the same by every name: here they are held against each other. */
const CONFIGS = { gateway: readGatewayConfig, messaging: readMessagingConfig, notification: readNotificationConfig };
/** What is known only when it is deployed, as it will look then. */
const AT_DEPLOYMENT: Partial<Record<SettingName, string>> = {
  KAFKA_BROKERS:
    'b-1.restante.kafka.eu-central-1.amazonaws.com:9098,b-2.restante.kafka.eu-central-1.amazonaws.com:9098',
  REDIS_URL: 'rediss://clustercfg.restante-dev.euc1.cache.amazonaws.com:6380',
  JWKS_URL: 'https://id.example.com/.well-known/jwks.json',
  ALLOWED_ORIGINS: 'https://chat.example.com',
  REDIS_PASSWORD: 'from Secrets Manager',
  WEBHOOK_URL: 'https://hooks.example.com/restante',
  WEBHOOK_SECRET: 'from Secrets Manager',
  ADMIN_TOKEN: 'sixty-four letters and digits from Secrets Manager',
  ATTACHMENT_BUCKET: 'restante-prod-attachments-bucket',
};

/** By Node and its libraries. */
const READ_ELSEWHERE = /^NODE_ENV$/;

/** And one in which all is on that is off in the others. */
const WITH_ALL = { ...STAGES.prod, webhooks: true };

describe.each([...Object.values(STAGES), WITH_ALL])('$name, webhooks $webhooks', (stage) => {
  const { ofType } = synthesize(stage);
  type Container = {
    Name: string;
    Environment: { Name: SettingName; Value: unknown }[];
    Secrets?: { Name: SettingName }[];
  };
  const containers = ofType('AWS::ECS::TaskDefinition').flatMap(
    ({ resource }) => resource.Properties.ContainerDefinitions as Container[],
  );
  const environmentOf = (name: string): Record<string, string> => {
    const { Environment, Secrets = [] } = containers.find((container) => container.Name === name)!;
    const plain = Environment.map(({ Name, Value }) => [
      Name,
      typeof Value === 'string' ? Value : (AT_DEPLOYMENT[Name] ?? flat(Value)),
    ]);
    return Object.fromEntries([...plain, ...Secrets.map(({ Name }) => [Name, AT_DEPLOYMENT[Name]])]);
  };

  test('the tables are those of the code: names, keys, types and TTL', () => {
    const made = ofType('AWS::DynamoDB::Table').map(({ resource: { Properties } }) => {
      const [partition, sort] = Properties.KeySchema as { AttributeName: string; KeyType: string }[];
      const types = new Map(
        (Properties.AttributeDefinitions as { AttributeName: string; AttributeType: string }[]).map((one) => [
          one.AttributeName,
          one.AttributeType,
        ]),
      );
      expect([partition!.KeyType, sort!.KeyType]).toEqual(['HASH', 'RANGE']);
      const key = (name: string) => ({ name, type: types.get(name) });
      const ttl = (Properties.TimeToLiveSpecification as { AttributeName: string } | undefined)?.AttributeName;
      return [
        Properties.TableName,
        {
          partitionKey: key(partition!.AttributeName),
          sortKey: key(sort!.AttributeName),
          ...(ttl ? { ttlAttribute: ttl } : {}),
        },
      ];
    });
    expect(Object.fromEntries(made)).toEqual(TABLES as Record<string, TableSpec>);
  });

  test('the task makes the topics of the code, thrice replicated, with as many partitions as the stage says', () => {
    const settings = readSettings(TOPIC_SETTINGS, environmentOf('topics'));
    const { incomingPartitions, userEventPartitions, gatewaySlots } = stage.topics;
    expect(
      topicSpecs(settings).map(({ topic, partitions, replicationFactor, config }) => [
        topic,
        partitions,
        replicationFactor,
        config['min.insync.replicas'],
      ]),
    ).toEqual([
      ['incoming_messages', incomingPartitions, 3, '2'],
      ['user_events', userEventPartitions, 3, '2'],
      ['outgoing_messages', gatewaySlots, 3, '2'],
      ['dead_letters', 1, 3, '2'],
      ['receipts', userEventPartitions, 3, '2'],
      ['operator_actions', 1, 3, '2'],
    ]);
  });

  test.each(SERVICES)('%s starts on what the stack tells it, and reads every name of it', (service) => {
    const environment = environmentOf(service);
    const config = CONFIGS[service](environment);
    const read = new Set(Object.keys(config));
    expect(Object.keys(environment).filter((name) => !read.has(name) && !READ_ELSEWHERE.test(name))).toEqual([]);
    expect(config).toMatchObject({
      KAFKA_AUTH: 'msk-iam',
      REDIS_CLUSTER: true,
      REDIS_USERNAME: service,
      AWS_REGION: stage.region,
    });
  });

  test('what a stage has is told to who needs it', () => {
    expect('ATTACHMENT_BUCKET' in environmentOf('gateway')).toBe(stage.attachments !== undefined);
    for (const name of ['WEBHOOK_URL', 'WEBHOOK_SECRET'])
      expect(name in environmentOf('notification')).toBe(stage.webhooks);
    const operated = [...SERVICES, 'topics'].filter((name) => 'ADMIN_TOKEN' in environmentOf(name));
    expect(operated).toEqual(['notification']);
  });

  test('services and topics agree on slots and epoch', () => {
    const { GATEWAY_SLOTS, INCOMING_EPOCH } = environmentOf('topics');
    for (const service of SERVICES) expect(environmentOf(service)).toMatchObject({ GATEWAY_SLOTS, INCOMING_EPOCH });
  });
});

describe('metrics', () => {
  // Registered with the store that they ask; here nobody asks.
  registerDueGauges({} as Parameters<typeof registerDueGauges>[0]);

  const registered = (service: ServiceName): string[] =>
    register
      .getMetricsAsArray()
      .map(({ name }) => name)
      .filter((name) => name.startsWith(`restante_${service}_`))
      .map((name) => cloudWatchName(service, name));

  test.each(SERVICES)('every metric of %s that an alarm or the dashboard shows is one that it registers', (service) => {
    const names = registered(service);
    const missing = SERVICE_METRICS[service].filter(
      (metric) => !names.some((name) => metric === name || metric.startsWith(`${name}_`)),
    );
    expect(missing).toEqual([]);
  });
});

describe('compose.yaml', () => {
  const text = readFileSync(new URL('../../localstack/compose.yaml', import.meta.url), 'utf8');

  test('sets only names of the list of settings', () => {
    const names = [...text.matchAll(/^\s+([A-Z][A-Z0-9_]+): /gm)]
      .map(([, name]) => name!)
      .filter(
        (name) =>
          !/^(KAFKA_(?!BROKERS|AUTH)|SERVICE$|SERVICES$|EAGER_|DISABLE_|SKIP_|DNS_|AWS_(ACCESS|SECRET))/.test(name),
      );
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !(name in SETTINGS))).toEqual([]);
  });

  test('tells notification of the applications that init makes', () => {
    for (const { setting, platform, name } of LOCAL_APPLICATIONS) {
      expect(text).toContain(`${setting}: arn:aws:sns:us-east-1:000000000000:app/${platform}/${name}`);
    }
  });

  test("lets operators act: notification alone gets the token, where there is one, and the operator's port is published", () => {
    const [others, notification] = text.split('\n  notification:\n') as [string, string];
    expect(notification).toMatch(/^ {6}ADMIN_TOKEN: "\$\{ADMIN_TOKEN:-\}"$/m);
    expect(others).not.toMatch(/^ +ADMIN_TOKEN:/m);
    expect(notification).toContain(`:${SETTINGS.ADMIN_PORT.fallback}"]`);
  });

  test('publishes on this machine alone', () => {
    const ports = [...text.matchAll(/^\s+ports: \[(.*)\]/gm)].flatMap(([, list]) =>
      list!.split(',').map((port) => port.trim()),
    );
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^"127\.0\.0\.1:/);
  });
});
