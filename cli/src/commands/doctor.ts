import { misspelt } from '@restante/shared/runtime/misspelt';
import { SERVICES, type ServiceName } from '@restante/shared/runtime/permissions';
import { SETTINGS } from '@restante/shared/runtime/settings';
import pc from 'picocolors';
import { type Command, EXIT, parseCommandLine, UsageError } from '../command.ts';
import { type Check, fail, ok } from '../doctor/check.ts';
import { checkMachine } from '../doctor/check-machine.ts';
import { checkRun } from '../doctor/check-run.ts';
import { checkTools } from '../doctor/check-tools.ts';
import { harmless } from '../render.ts';
import { resolveTarget, type Target } from '../target.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'look at the machine, the engines and what runs; say what to do',
  help: `Usage: restante doctor [--role SERVICE] [--json] [--data-dir DIR]

Looks at Node, Java and Maven, memory, disk and limits, the ports, the processes that
run.json names, and asks Kafka, Redis and DynamoDB themselves. Each line is ok, a warning
or a failure with its remedy. Changes nothing.

With a role, it also tries what IAM lets this process do: each DynamoDB action of the role
on each of its tables, and for notification Publish and SetEndpointAttributes in SNS, by
requests that can change nothing. Each that is denied is a failure that names action,
resource and caller. What can't be tried harmlessly is listed as "not tried". It is the
caller's rights that are seen: an administrator's say nothing about the role.

  --role SERVICE   gateway, messaging or notification   (env SERVICE_NAME where DynamoDB has
                   no address)
  --data-dir DIR   where run.json is   (env DATA_DIR; the nearest .restante otherwise)
  --json           one JSON object a line: {name, state, found, remedy}; state is ok, skip,
                   warn or fail

KAFKA_BROKERS, REDIS_URL and DYNAMODB_ENDPOINT are looked at where they are set, as the
services would be let in: with KAFKA_AUTH, REDIS_CLUSTER, REDIS_USERNAME and REDIS_PASSWORD;
rights also with AWS_REGION, SNS_ENDPOINT, SNS_APNS_APPLICATION_ARN, SNS_FCM_APPLICATION_ARN and the
credentials that the AWS SDK finds.

Exit codes: 0 nothing failed, 1 something did, 2 usage.`,
  async run(args, io) {
    const options = { json: { type: 'boolean' }, 'data-dir': { type: 'string' }, role: { type: 'string' } } as const;
    const { values } = parseCommandLine(args, options, 0);
    const role = values.role === undefined ? undefined : asService(values.role);
    if (values.role !== undefined && role === undefined)
      throw new UsageError(`--role must be one of ${SERVICES.join(', ')}, not ${JSON.stringify(values.role)}`);
    const target = resolveTarget(values, io.env, io.cwd);
    const checks = [
      ...(await checkTools()),
      ...(await checkMachine(target.dataDir)),
      ...checkRun(target, io.env),
      judgeEnvironment(io.env),
      ...(await checkAllEngines(target, withoutMisspelt(io.env), role)),
    ];
    for (const check of checks) io.out(values.json === true ? JSON.stringify(check) : line(check));
    const failed = checks.filter((check) => check.state === 'fail').length;
    const warned = checks.filter((check) => check.state === 'warn').length;
    if (values.json !== true)
      io.out(
        failed > 0
          ? pc.red(`${failed} failed, ${warned} to look at`)
          : warned > 0
            ? pc.yellow(`${warned} to look at`)
            : pc.green('all is well'),
      );
    return failed > 0 ? EXIT.failed : EXIT.ok;
  },
};

/** A misspelt setting, before a service refuses to start on it. */
export function judgeEnvironment(env: Record<string, string | undefined>): Check {
  const found = misspelt(Object.keys(env), Object.keys(SETTINGS));
  const names = Object.keys(env).filter((name) => name in SETTINGS);
  if (found.length === 0) return ok('Settings', names.length > 0 ? names.join(', ') : 'none set: the defaults');
  const near = found.map(([name, known]) => `${name} is no setting, ${known} is`).join('; ');
  return fail('Settings', near, 'rename it, or unset it; docs/configuration.md has all of them');
}

/** For the checks after it: each that reads a setting would fail on the same name again. */
export function withoutMisspelt(env: Record<string, string | undefined>): Record<string, string | undefined> {
  const wrong = new Set(misspelt(Object.keys(env), Object.keys(SETTINGS)).map(([name]) => name));
  return Object.fromEntries(Object.entries(env).filter(([name]) => !wrong.has(name)));
}

const asService = (name: string | undefined): ServiceName | undefined => SERVICES.find((service) => service === name);

/** Engines are asked only where there are some: before the first `npm start` there is nothing to say about them. */
async function checkAllEngines(
  target: Target,
  env: Record<string, string | undefined>,
  role: ServiceName | undefined,
): Promise<Check[]> {
  const engine = (name: string) => target.run?.engines.find((one) => one.name === name);
  const url = (name: string, variable: string) => env[variable] || engine(name)?.url;
  const redis = url('redis', 'REDIS_URL');
  const urls = {
    kafka: url('kafka', 'KAFKA_BROKERS'),
    redis:
      redis === undefined ? undefined : { url: redis, cluster: !env.REDIS_URL && engine('redis')?.cluster === true },
    dynamodb: url('dynamodb', 'DYNAMODB_ENDPOINT'),
  };
  if (role === undefined && Object.values(urls).every((value) => value === undefined)) return [];
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  // Their clients take half a second to load: not for the other commands.
  const { checkEngines } = await import('../doctor/check-engines.ts');
  return checkEngines(urls, env, role ?? (urls.dynamodb === undefined ? asService(env.SERVICE_NAME) : undefined));
}

function line(check: Check): string {
  const mark = { ok: pc.green('ok  '), skip: pc.dim('skip'), warn: pc.yellow('warn'), fail: pc.red('FAIL') }[
    check.state
  ];
  const remedy = check.remedy === undefined ? '' : `\n       ${pc.dim('→')} ${check.remedy}`;
  return `${mark}  ${pc.bold(check.name.padEnd(23))} ${harmless(check.found)}${remedy}`;
}
