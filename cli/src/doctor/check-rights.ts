import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SNSClient } from '@aws-sdk/client-sns';
import { awsClientOptions } from '@restante/shared/runtime/aws';
import { PERMISSIONS, PUSH_ACTIONS, type ServiceName, TABLE_ACTIONS } from '@restante/shared/runtime/permissions';
import { type Check, fail, ok, skip } from './check.ts';
import { type Answer, judgeAnswer } from './judge-answer.ts';
import { absentEndpoint, ENDPOINT_PROBES, TABLE_PROBES } from './probes.ts';

type Env = Record<string, string | undefined>;
type Trial = { action: string; resource: string; statement: string; run: () => Promise<unknown> };
type Tried = Trial & { answer: Answer };

/**
 * Tries each right of a service's role with the caller's own credentials: IAM refuses nothing on one machine, so what a role lacks is only seen
 * here. One after the other, and no further than credentials or the network carry.
 * @param dynamodb undefined: AWS, by region
 */
export async function checkRights(role: ServiceName, dynamodb: string | undefined, env: Env): Promise<Check[]> {
  const region = env.AWS_REGION || 'us-east-1';
  const dynamo = new DynamoDBClient({ ...awsClientOptions({ endpoint: dynamodb, region }), maxAttempts: 1 });
  const sns = new SNSClient({
    ...awsClientOptions({ endpoint: env.SNS_ENDPOINT || undefined, region }),
    maxAttempts: 1,
  });
  try {
    const tried: Tried[] = [];
    for (const trial of [...tableTrials(role, dynamo), ...pushTrials(role, sns, env)]) {
      const answer = judgeAnswer(
        await trial.run().then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      if (answer.is === 'credentials') return [...judgeTried(role, tried), noCredentials(answer.message)];
      if (answer.is === 'no answer') return [...judgeTried(role, tried), noAnswer(trial, answer.message, region)];
      tried.push({ ...trial, answer });
    }
    return [...judgeTried(role, tried), ...notTried(role, env)];
  } finally {
    dynamo.destroy();
    sns.destroy();
  }
}

function tableTrials(role: ServiceName, client: DynamoDBClient): Trial[] {
  return Object.entries(PERMISSIONS[role].tables).flatMap(([table, accesses]) =>
    [...new Set(accesses.flatMap((access) => TABLE_ACTIONS[access]))].map((action) => ({
      action,
      resource: `table/${table}`,
      statement: `table ${table}`,
      run: () => probeOf(TABLE_PROBES, action)(client, table),
    })),
  );
}

function pushTrials(role: ServiceName, client: SNSClient, env: Env): Trial[] {
  return applications(role, env).flatMap((application) => {
    const endpoint = absentEndpoint(application);
    return PUSH_ACTIONS.endpoint.map((action) => ({
      action,
      resource: endpoint,
      statement: `endpoints of ${application}`,
      run: () => probeOf(ENDPOINT_PROBES, action)(client, endpoint),
    }));
  });
}

function probeOf<Probe>(probes: Readonly<Record<string, Probe>>, action: string): Probe {
  const probe = probes[action];
  if (!probe) throw new Error(`no probe for ${action}: add it to cli/src/doctor/probes.ts`);
  return probe;
}

function applications(role: ServiceName, env: Env): string[] {
  if (!PERMISSIONS[role].push) return [];
  return [env.SNS_APNS_APPLICATION_ARN, env.SNS_FCM_APPLICATION_ARN].flatMap((arn) => arn || []);
}

/** A line for each resource with what is allowed, and one for each action that is not. */
function judgeTried(role: ServiceName, tried: readonly Tried[]): Check[] {
  return [...new Set(tried.map(({ statement }) => statement))].flatMap((statement) => {
    const of = tried.filter((one) => one.statement === statement);
    const name = `IAM ${statement}`;
    if (of.every(({ answer }) => answer.is === 'absent')) return [noTable(name)];
    const allowed = of.filter(({ answer }) => answer.is === 'allowed').map(({ action }) => action);
    return [
      ...(allowed.length > 0 ? [ok(name, `the caller may ${allowed.join(', ')}`)] : []),
      ...of.flatMap((one) => (one.answer.is === 'denied' ? [judgeDenied(role, name, one, one.answer)] : [])),
    ];
  });
}

function judgeDenied(
  role: ServiceName,
  name: string,
  { action, resource, statement }: Trial,
  answer: Answer & { is: 'denied' },
): Check {
  // An insert is only tried beside an update. What keeps that from running has a line of its own.
  if (action === 'dynamodb:PartiQLInsert' && answer.action === 'dynamodb:PartiQLUpdate')
    return skip(name, `not tried: ${action}, for which PartiQLUpdate is needed too`);
  const found = `${answer.caller ?? 'the caller'} may not ${answer.action ?? action} on ${answer.resource ?? resource}`;
  const remedy = answer.explicitly
    ? 'a policy denies it explicitly (the role, a boundary, or the organisation): take that out'
    : `the role of ${role} grants it in its statement for ${answer.action?.startsWith('kms:') ? 'the key of the tables' : statement} (shared/src/runtime/permissions.ts): npm run deploy -- <stage>; if it does, this process runs with another role`;
  return fail(name, found, remedy);
}

const noTable = (name: string): Check =>
  fail(name, 'there is no such table', 'npm run deploy -- <stage> makes it; or AWS_REGION names another region');

const noCredentials = (message: string): Check =>
  fail(
    'AWS credentials',
    message,
    "nothing more was tried: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, to a session of the service's role; `aws sts get-caller-identity` shows whose they are",
  );

const noAnswer = ({ action, resource }: Trial, message: string, region: string): Check =>
  fail(
    'AWS',
    `${action} on ${resource}: ${message}`,
    `nothing more was tried: see that AWS_REGION (${region}) is right, and that security groups and VPC endpoints let the process out`,
  );

/** What can't be tried without a trace, and why. */
function notTried(role: ServiceName, env: Env): Check[] {
  const { kafka, push, uploads } = PERMISSIONS[role];
  const none = push && applications(role, env).length === 0;
  const because = [
    `kafka-cluster:* (groups would be joined and records written: ${kafka.writes.join(', ')})`,
    ...(push ? ['sns:CreatePlatformEndpoint (would make an endpoint)'] : []),
    ...(none
      ? [`${PUSH_ACTIONS.endpoint.join(', ')} (neither SNS_APNS_APPLICATION_ARN nor SNS_FCM_APPLICATION_ARN is set)`]
      : []),
    ...(uploads ? ['s3:PutObject (would leave a file)'] : []),
  ];
  return because.map((what) => skip('IAM', `not tried: ${what}`));
}
