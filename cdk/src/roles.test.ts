import { TOPICS } from '@restante/shared/contract/events';
import { OPERATOR_TOPIC } from '@restante/shared/contract/operator-actions';
import { SERVICES, type ServiceName } from '@restante/shared/runtime/permissions';
import { TABLES } from '@restante/shared/runtime/tables';
import { describe, expect, test } from 'vitest';
import { pushSecretName } from './push-stack.ts';
import { STAGES } from './stages.ts';
import { flat, listOf, type Statement, type Synthesized, statementsOfRole, synthesize } from './synthesized.ts';

/**
 * The question that IAM asks, asked of the templates: may this role do this to that? What is expected is written out here a
 * second time, on purpose: a right that is added in `permissions.ts` alone fails.
 */
const stage = { ...STAGES.prod, topics: { ...STAGES.prod.topics, epoch: 2 } };
const synthesized = synthesize(stage);
type Role = ServiceName | 'topics';
const ROLES: readonly Role[] = [...SERVICES, 'topics'];

function statementsOf(made: Synthesized, role: Role): Statement[] {
  const pattern = role === 'topics' ? /^TopicsRole/ : new RegExp(`^${role}Role`);
  return statementsOfRole(made, made.ofType('AWS::IAM::Role').find(({ id }) => pattern.test(id))!.id);
}

/** An ARN of a template as `table/messages`, `topic/user_events`, `group/messaging`, `app/GCM` … */
function nameOf(resource: unknown): string {
  const arn = flat(resource);
  const table = /restante-prod-data:ExportsOutputFnGetAtt([a-z]+)[0-9A-F]{8}Arn/.exec(arn);
  if (table) return `table/${table[1]}`;
  return arn
    .replace(/^.*:(topic|group)\/restante-prod\/<restante-prod-kafka-uuid>\//, '$1/')
    .replace(/^arn:.*:(app|endpoint)\/(\w+)\/restante-prod/, '$1/$2');
}

function granted(made: Synthesized, role: Role, service: string, kind: string): Record<string, string[]> {
  const rights: Record<string, Set<string>> = {};
  for (const { Effect, Action, Resource } of statementsOf(made, role)) {
    expect(Effect).toBe('Allow');
    for (const name of listOf(Resource).map(nameOf)) {
      for (const action of listOf(Action)) {
        if (!action.startsWith(`${service}:`) || !name.startsWith(`${kind}/`)) continue;
        rights[name.slice(kind.length + 1)] = (rights[name.slice(kind.length + 1)] ?? new Set()).add(
          action.slice(service.length + 1),
        );
      }
    }
  }
  return Object.fromEntries(Object.entries(rights).map(([name, actions]) => [name, [...actions].sort()]));
}

const READ = ['BatchGetItem', 'GetItem', 'Query'];
const APPEND = [...READ, 'BatchWriteItem'].sort();
const FORWARD = [...READ, 'PartiQLInsert', 'PartiQLUpdate', 'UpdateItem'].sort();
const WRITE = [...READ, 'PutItem', 'UpdateItem'].sort();
const REMOVE = [...WRITE, 'DeleteItem'].sort();

describe('tables by verb', () => {
  const expected: Record<Role, Record<string, string[]>> = {
    gateway: {
      messages: READ,
      tombstones: READ,
      conversations: READ,
      memberships: READ,
      receipts: READ,
      devices: REMOVE,
    },
    messaging: { messages: APPEND, tombstones: APPEND, conversations: APPEND, memberships: APPEND, logs: WRITE },
    notification: {
      messages: READ,
      tombstones: READ,
      conversations: READ,
      memberships: READ,
      cursors: FORWARD,
      receipts: FORWARD,
      devices: [...REMOVE, 'Scan'].sort(),
    },
    topics: {},
  };
  test.each(ROLES)('%s', (role) => {
    expect(granted(synthesized, role, 'dynamodb', 'table')).toEqual(expected[role]);
  });

  test('every table has one that writes it', () => {
    for (const table of Object.keys(TABLES)) {
      expect(
        ROLES.some((role) =>
          expected[role][table]?.some((action) => /PutItem|BatchWriteItem|PartiQLInsert/.test(action)),
        ),
        table,
      ).toBe(true);
    }
  });

  test('none may make, drop or restore a table', () => {
    for (const role of ROLES) {
      const actions = statementsOf(synthesized, role).flatMap(({ Action }) => listOf(Action));
      expect(
        actions.filter((action) =>
          /^dynamodb:(.*Table.*|.*Backup.*|Restore.*|PartiQLDelete|PartiQLSelect)$/.test(action),
        ),
        role,
      ).toEqual([]);
    }
  });
});

describe('topics by name', () => {
  const LOG = [`${TOPICS.incoming}.2`, TOPICS.incoming];
  const writes = (...topics: string[]) =>
    Object.fromEntries(topics.map((topic) => [topic, ['DescribeTopic', 'WriteData']]));
  const reads = (...topics: string[]) =>
    Object.fromEntries(topics.map((topic) => [topic, ['DescribeTopic', 'ReadData']]));
  const expected: Record<Role, Record<string, string[]>> = {
    gateway: { ...writes(...LOG, TOPICS.userEvents), ...reads(TOPICS.outgoing, OPERATOR_TOPIC) },
    messaging: { ...writes(TOPICS.outgoing, TOPICS.deadLetters), ...reads(...LOG) },
    notification: {
      ...writes(TOPICS.outgoing, ...LOG),
      ...Object.fromEntries(
        [TOPICS.deadLetters, TOPICS.receipts, TOPICS.userEvents, OPERATOR_TOPIC].map((topic) => [
          topic,
          ['DescribeTopic', 'ReadData', 'WriteData'],
        ]),
      ),
    },
    topics: Object.fromEntries(
      [...LOG, TOPICS.userEvents, TOPICS.outgoing, TOPICS.deadLetters, TOPICS.receipts, OPERATOR_TOPIC].map((topic) => [
        topic,
        ['CreateTopic', 'DescribeTopic', 'DescribeTopicDynamicConfiguration'],
      ]),
    ),
  };
  test.each(ROLES)('%s', (role) => {
    expect(granted(synthesized, role, 'kafka-cluster', 'topic')).toEqual(expected[role]);
  });
});

describe('groups by name', () => {
  const expected: Record<Role, Record<string, string[]>> = {
    gateway: {
      'slot.outgoing_messages.*': ['AlterGroup', 'DeleteGroup', 'DescribeGroup'],
      'slot.operator_actions.*': ['AlterGroup', 'DeleteGroup', 'DescribeGroup'],
      'range.operator_actions.*': ['AlterGroup', 'DeleteGroup', 'DescribeGroup'],
      messaging: ['DescribeGroup'],
    },
    messaging: {
      messaging: ['AlterGroup', 'DescribeGroup'],
      'range.incoming_messages*': ['AlterGroup', 'DeleteGroup', 'DescribeGroup'],
    },
    notification: {
      notification: ['AlterGroup', 'DescribeGroup'],
      'webhooks-receipts': ['AlterGroup', 'DescribeGroup'],
      'webhooks-dead-letters': ['AlterGroup', 'DescribeGroup'],
      messaging: ['DescribeGroup'],
      'range.operator_actions.*': ['AlterGroup', 'DeleteGroup', 'DescribeGroup'],
      'range.dead_letters.*': ['AlterGroup', 'DeleteGroup', 'DescribeGroup'],
    },
    topics: {},
  };
  test.each(ROLES)('%s', (role) => {
    expect(granted(synthesized, role, 'kafka-cluster', 'group')).toEqual(expected[role]);
  });
});

describe('push by application', () => {
  test('notification alone makes endpoints and publishes to them', () => {
    expect(granted(synthesized, 'notification', 'sns', 'app')).toEqual({
      APNS: ['CreatePlatformEndpoint'],
      GCM: ['CreatePlatformEndpoint'],
    });
    const toEndpoints = ['Publish', 'SetEndpointAttributes'];
    expect(granted(synthesized, 'notification', 'sns', 'endpoint')).toEqual({
      'APNS/*': toEndpoints,
      'GCM/*': toEndpoints,
    });
  });

  test.each(['gateway', 'messaging', 'topics'] as const)('%s has no right to SNS at all', (role) => {
    const actions = statementsOf(synthesized, role).flatMap(({ Action }) => listOf(Action));
    expect(actions.filter((action) => action.startsWith('sns:'))).toEqual([]);
  });
});

describe('files of messages', () => {
  const toFiles = (made: Synthesized, role: Role) =>
    statementsOf(made, role)
      .filter(({ Action }) => listOf(Action).some((action) => action.startsWith('s3:')))
      .map(({ Action, Resource }) => [Action, listOf(Resource).map(flat)]);

  test('the gateway may put them into their bucket, and do nothing else to any', () => {
    const bucket = expect.stringMatching(
      /^arn:<AWS::Partition>:s3:::restante-prod-attachments-<AWS::AccountId>-[a-z0-9-]+\/\*$/,
    );
    expect(toFiles(synthesized, 'gateway')).toEqual([['s3:PutObject', [bucket]]]);
  });

  test('where there is no bucket there is no right', () => {
    const { attachments: _, ...without } = stage;
    expect(toFiles(synthesize(without), 'gateway')).toEqual([]);
  });
});

describe('beyond that', () => {
  test.each(ROLES)('%s has no right to any other service', (role) => {
    const services = new Set(
      statementsOf(synthesized, role).flatMap(({ Action }) => listOf(Action).map((action) => action.split(':')[0])),
    );
    const allowed = {
      gateway: ['dynamodb', 'kafka-cluster', 'kms', 's3'],
      messaging: ['dynamodb', 'kafka-cluster', 'kms'],
      // What ECS Exec's agent needs; nothing of the process's own.
      notification: ['dynamodb', 'kafka-cluster', 'kms', 'sns', 'ssmmessages'],
      topics: ['kafka-cluster'],
    };
    expect([...services].sort()).toEqual(allowed[role]);
  });

  test('the key of the tables opens nothing but tables', () => {
    for (const role of SERVICES) {
      const ofKey = statementsOf(synthesized, role).filter(({ Action }) =>
        listOf(Action).some((action) => action.startsWith('kms:')),
      );
      expect(ofKey.map(({ Condition }) => Condition)).toEqual([
        { StringEquals: { 'kms:ViaService': `dynamodb.${stage.region}.amazonaws.com` } },
      ]);
    }
  });

  test("a service's start-up role reads its own password, notification's the operators' token, and nobody any other", () => {
    const readers = synthesized.ofType('AWS::IAM::Role').map(({ id }) => [
      id.replace(/[0-9A-F]{8}$/, ''),
      statementsOfRole(synthesized, id)
        .filter(({ Action }) => listOf(Action).some((action) => action.startsWith('secretsmanager:')))
        .flatMap(({ Resource }) => listOf(Resource).map(flat)),
    ]);
    expect(Object.fromEntries(readers.filter(([, secrets]) => secrets!.length > 0))).toEqual({
      PushApplicationRole: stage.push.map((platform) =>
        expect.stringContaining(`:secret:${pushSecretName(stage, platform)}-`),
      ),
      gatewayExecutionRole: [expect.stringContaining('gatewayPassword')],
      messagingExecutionRole: [expect.stringContaining('messagingPassword')],
      notificationExecutionRole: [
        expect.stringContaining('notificationPassword'),
        expect.stringMatching(/^<AdminToken/),
      ],
    });
  });

  test('these tests see a right that is one too many', () => {
    const seeded = structuredClone(synthesized.found);
    const policy = seeded.find(
      ({ id, resource }) => resource.Type === 'AWS::IAM::Policy' && id.startsWith('gatewayRole'),
    )!;
    const messages = statementsOf(synthesized, 'gateway').find(
      ({ Resource }) => nameOf(Resource) === 'table/messages',
    )!;
    const document = policy.resource.Properties.PolicyDocument as { Statement: Statement[] };
    document.Statement.push({ Effect: 'Allow', Action: 'dynamodb:PutItem', Resource: messages.Resource });
    const made = { ...synthesized, ofType: (type: string) => seeded.filter(({ resource }) => resource.Type === type) };
    expect(granted(made, 'gateway', 'dynamodb', 'table').messages).toEqual([...READ, 'PutItem'].sort());
  });
});
