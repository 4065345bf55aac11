import { MESSAGE_ID_PATTERN, USER_PATTERN } from '@restante/shared/contract/ids';
import { INBOX_SETTINGS, REDIS_SETTINGS } from '@restante/shared/inbox/inbox-settings';
import { readSettings } from '@restante/shared/runtime/settings';
import pc from 'picocolors';
import { type Command, EXIT, FailedError, parseCommandLine, UsageError } from '../command.ts';
import type { RunFile } from '../run-file.ts';
import { resolveTarget } from '../target.ts';
import { renderTrace } from '../trace/render-trace.ts';

/** Which setting says where each engine is, and what run.json calls it. */
const ENGINES = { KAFKA_BROKERS: 'kafka', REDIS_URL: 'redis', DYNAMODB_ENDPOINT: 'dynamodb' } as const;

export const traceCommand: Command = {
  name: 'trace',
  summary: "a message's life: accepted, stored, inboxed, pushed, delivered, read",
  help: `Usage: restante trace <id> [--from USER]

Shows when a message was accepted and stored and, for each of its recipients, when it was put
into the inbox, last pushed, delivered and read, from what is stored: nothing is changed.
A time that nobody noted, or that is gone by now, is said to be not kept: that of the inbox
goes with the entry, once it was acknowledged.

      --from USER     who sent it: found without looking through all ids
      --data-dir DIR  where run.json is   (env DATA_DIR; the nearest .restante otherwise)
      --json          one JSON object, times in ms; always so where the output is no terminal

Redis, DynamoDB and Kafka are found by the settings of the services (REDIS_URL, DYNAMODB_ENDPOINT,
KAFKA_BROKERS …), or by run.json.

Exit codes: 0 ok, 1 failed, or there is no such message, 2 usage.

Examples:
  npx restante trace 0198c1a2-7f3e-7c31-9d8b-2f6f0c1f7a10
  npx restante trace 0198c1a2-7f3e-7c31-9d8b-2f6f0c1f7a10 --json | jq '.recipients[] | select(.state != "read").user'`,
  async run(args, io) {
    const { values, positionals } = parseCommandLine(args, OPTIONS, 1);
    const [id] = positionals;
    if (id === undefined) throw new UsageError('which message? restante trace <id>');
    if (!MESSAGE_ID_PATTERN.test(id))
      throw new UsageError(`${JSON.stringify(id)} is no message id: [A-Za-z0-9_-], 8 to 64 characters`);
    if (values.from !== undefined && !USER_PATTERN.test(values.from))
      throw new UsageError(`--from ${JSON.stringify(values.from)} is no user id: [A-Za-z0-9_.@-], 1 to 128 characters`);
    const { run } = resolveTarget(values, io.env, io.cwd);
    const settings = readSettings(SETTINGS, { ...io.env, ...addressesOf(run, io.env) });
    // The clients of the stores take a moment to load: not for the other commands.
    const [{ openStores }, { readTrace }] = await Promise.all([
      import('../trace/open-stores.ts'),
      import('@restante/shared/inbox/read-trace'),
    ]);
    const stores = await openStores(settings);
    try {
      const trace = await readTrace(id, values.from, stores).catch((error: Error & { remedy?: string }) => {
        throw error.remedy === undefined ? error : new FailedError(error.message, error.remedy);
      });
      if (values.json === true || !io.terminal) io.out(JSON.stringify(trace));
      else for (const line of renderTrace(trace, pc)) io.out(line);
    } finally {
      await stores.close();
    }
    return EXIT.ok;
  },
};

const OPTIONS = { from: { type: 'string' }, 'data-dir': { type: 'string' }, json: { type: 'boolean' } } as const;
export const SETTINGS = [
  'KAFKA_BROKERS',
  'KAFKA_AUTH',
  ...REDIS_SETTINGS,
  'DYNAMODB_ENDPOINT',
  'AWS_REGION',
  'INCOMING_EPOCH',
  ...INBOX_SETTINGS,
] as const;

/** Addresses from run.json, for those that the environment does not say. @throws FailedError where neither does */
function addressesOf(run: RunFile | undefined, env: Record<string, string | undefined>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [setting, name] of Object.entries(ENGINES)) {
    if (env[setting]) continue;
    const engine = run?.engines.find((one) => one.name === name);
    if (engine !== undefined) found[setting] = engine.url;
    // Without an endpoint DynamoDB is that of AWS.
    else if (name !== 'dynamodb')
      throw new FailedError(`no ${name} is known: there is no run.json`, `run \`npm start\`, or set ${setting}`);
  }
  if (found.REDIS_URL && run?.engines.find(({ name }) => name === 'redis')?.cluster) found.REDIS_CLUSTER = 'true';
  return found;
}
