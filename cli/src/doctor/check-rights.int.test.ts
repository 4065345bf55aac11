import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ScanCommand } from '@aws-sdk/client-dynamodb';
import type { Engine } from '@restante/localstack/engine';
import { applicationsEnv } from '@restante/localstack/init/push-applications';
import { LOCALSTACK_UP_MS, startSns } from '@restante/localstack/sns-engine';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { PERMISSIONS, SERVICES, TABLE_ACTIONS } from '@restante/shared/runtime/permissions';
import { TABLES } from '@restante/shared/runtime/tables';
import { HttpProxy } from '@restante/shared/runtime/test-http-proxy';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { checkRights } from './check-rights.ts';

const REGION = 'us-east-1';
const applications = applicationsEnv(REGION);
const CALLER = 'arn:aws:sts::000000000000:assumed-role/someone/task';

/** Stands before an engine as IAM does: refuses named actions in AWS's wire format, each of a table or of anything, and hands on the rest. */
class Iam extends HttpProxy {
  /** As `dynamodb:Query` or `dynamodb:Query messages`. */
  denied = new Set<string>();
  /** What every request is refused with, where there is something. */
  error: string | undefined;
  readonly asked: string[] = [];
  /** Names of the errors of the engine itself. */
  readonly answered = new Set<string>();

  protected async serve(from: IncomingMessage, body: Buffer, to: ServerResponse): Promise<void> {
    const actions = actionsOf(from, body.toString());
    this.asked.push(...actions.map(({ action }) => action));
    const denied = actions.find(
      ({ action, table }) => this.denied.has(action) || this.denied.has(`${action} ${table}`),
    );
    if (denied || this.error) return refuse(to, this.error, denied);
    const { body: got } = await this.pass(from, body, to);
    const error = /"__type":"[^"]*#(\w+)"/.exec(got.toString())?.[1];
    if (error) this.answered.add(error);
  }
}

type Asked = { action: string; table: string };

/** What IAM would be asked for a request: PartiQL goes by its statements. */
function actionsOf({ headers }: IncomingMessage, body: string): Asked[] {
  const operation = String(headers['x-amz-target'] ?? '').split('.')[1];
  if (operation === undefined) return [{ action: `sns:${new URLSearchParams(body).get('Action')}`, table: '' }];
  const { TableName, RequestItems, Statement, TransactStatements } = JSON.parse(body) as {
    TableName?: string;
    RequestItems?: object;
    Statement?: string;
    TransactStatements?: { Statement: string }[];
  };
  const statements = Statement === undefined ? TransactStatements?.map((one) => one.Statement) : [Statement];
  if (!statements)
    return [{ action: `dynamodb:${operation}`, table: TableName ?? Object.keys(RequestItems ?? {}).join() }];
  return statements.map((statement) => {
    const [, verb, table] = /^(UPDATE|INSERT INTO) "(\w+)"/.exec(statement) ?? [];
    return { action: `dynamodb:PartiQL${verb === 'UPDATE' ? 'Update' : 'Insert'}`, table: table ?? '' };
  });
}

function refuse(to: ServerResponse, error: string | undefined, denied: Asked | undefined): void {
  const message = denied
    ? `User: ${CALLER} is not authorized to perform: ${denied.action} on resource: arn:aws:dynamodb:${REGION}:000000000000:table/${denied.table} because no identity-based policy allows the ${denied.action} action`
    : 'refused';
  if (denied?.action.startsWith('sns:')) {
    to.writeHead(403, { 'content-type': 'text/xml' });
    to.end(
      `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
    );
    return;
  }
  to.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
  to.end(
    JSON.stringify({
      __type: `com.amazon.coral.service#${error ?? 'AccessDeniedException'}`,
      Message: message,
      message,
    }),
  );
}

const dir = mkdtempSync(join(tmpdir(), 'restante-rights-'));
const client = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: REGION });
const iam = new Iam(process.env.DYNAMODB_ENDPOINT!);
let endpoint: string;
let engine: Engine;
let snsIam: Iam;
let pushEnv: Record<string, string>;

beforeAll(async () => {
  endpoint = await iam.start();
  engine = await startSns({ dataDir: join(dir, 'sns') }, REGION, (line) => process.stderr.write(`${line}\n`));
  snsIam = new Iam(engine.url);
  pushEnv = { SNS_ENDPOINT: await snsIam.start(), ...applications };
}, LOCALSTACK_UP_MS);

afterEach(() => {
  for (const one of [iam, snsIam]) {
    one.denied.clear();
    one.error = undefined;
    one.asked.length = 0;
    one.answered.clear();
  }
});

afterAll(async () => {
  client.destroy();
  await iam.stop();
  await snsIam?.stop();
  await engine?.kill();
  rmSync(dir, { recursive: true, force: true });
});

const failures = async (...args: Parameters<typeof checkRights>) =>
  (await checkRights(...args)).filter(({ state }) => state === 'fail');

test.each(SERVICES)(
  '%s: each right of its tables is tried on the real DynamoDB, found, and nothing is left behind',
  async (role) => {
    const checks = await checkRights(role, endpoint, {});
    expect(checks.filter(({ state }) => state !== 'ok' && state !== 'skip')).toEqual([]);
    for (const [table, accesses] of Object.entries(PERMISSIONS[role].tables)) {
      const { found } = checks.find(({ name, state }) => name === `IAM table ${table}` && state === 'ok')!;
      for (const action of accesses.flatMap((access) => TABLE_ACTIONS[access])) {
        expect(found).toContain(action);
        expect(iam.asked).toContain(action);
      }
    }
    // A request that is not valid might be refused before its right is looked at.
    expect(iam.answered).toContain('ConditionalCheckFailedException');
    for (const error of iam.answered)
      expect(['ConditionalCheckFailedException', 'TransactionCanceledException']).toContain(error);
    expect(checks.filter(({ state }) => state === 'skip').map(({ found }) => found)).toContainEqual(
      expect.stringContaining('not tried: kafka-cluster:*'),
    );
    for (const table of Object.keys(TABLES)) {
      const { Items } = await client.send(new ScanCommand({ TableName: table }));
      expect(JSON.stringify(Items)).not.toContain('restante doctor');
    }
  },
);

const TABLE_RIGHTS = SERVICES.flatMap((role) =>
  Object.entries(PERMISSIONS[role].tables).flatMap(([table, accesses]) =>
    [...new Set(accesses.flatMap((access) => TABLE_ACTIONS[access]))].map((action) => ({ role, table, action })),
  ),
);

test.each(TABLE_RIGHTS)('$role without $action on $table: the one finding', async ({ role, table, action }) => {
  iam.denied.add(`${action} ${table}`);
  expect(await failures(role, endpoint, {})).toEqual([
    {
      name: `IAM table ${table}`,
      state: 'fail',
      found: `${CALLER} may not ${action} on arn:aws:dynamodb:${REGION}:000000000000:table/${table}`,
      remedy: expect.stringMatching(new RegExp(`role of ${role}.*statement for table ${table}.*npm run deploy`)),
    },
  ]);
});

test('an insert that could not be tried is not called allowed', async () => {
  iam.denied.add('dynamodb:PartiQLUpdate cursors');
  const of = (await checkRights('notification', endpoint, {})).filter(({ name }) => name === 'IAM table cursors');
  expect(of.map(({ state }) => state)).toEqual(['ok', 'skip', 'fail']);
  expect(of[0]!.found).not.toContain('PartiQL');
  expect(of[1]!.found).toContain('not tried: dynamodb:PartiQLInsert');
});

test('pushes: tried on an endpoint that is not there, for each application', async () => {
  const checks = await checkRights('notification', endpoint, pushEnv);
  expect(checks.filter(({ state }) => state === 'fail')).toEqual([]);
  expect(snsIam.asked.sort()).toEqual([
    'sns:Publish',
    'sns:Publish',
    'sns:SetEndpointAttributes',
    'sns:SetEndpointAttributes',
  ]);
  expect(checks.map(({ found }) => found)).toContainEqual(
    expect.stringContaining('not tried: sns:CreatePlatformEndpoint'),
  );
  snsIam.denied.add('sns:Publish');
  expect(await failures('notification', endpoint, pushEnv)).toMatchObject([
    {
      name: `IAM endpoints of ${applications.SNS_APNS_APPLICATION_ARN}`,
      found: expect.stringContaining(`${CALLER} may not sns:Publish`),
    },
    {
      name: `IAM endpoints of ${applications.SNS_FCM_APPLICATION_ARN}`,
      found: expect.stringContaining(`${CALLER} may not sns:Publish`),
    },
  ]);
});

test('credentials that are none, and silence, are one finding each, and end it', async () => {
  iam.error = 'ExpiredTokenException';
  expect(await checkRights('gateway', endpoint, {})).toMatchObject([
    { name: 'AWS credentials', state: 'fail', found: expect.stringContaining('ExpiredTokenException') },
  ]);
  expect(iam.asked).toHaveLength(1);
  const nobody = new Iam(endpoint);
  const gone = await nobody.start();
  await nobody.stop();
  expect(await checkRights('gateway', gone, {})).toMatchObject([
    { name: 'AWS', state: 'fail', found: expect.stringContaining('ECONNREFUSED') },
  ]);
});
