import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import type { ServiceName } from '@restante/shared/runtime/permissions';
import { readSettings } from '@restante/shared/runtime/settings';
import { openKafka } from '../open-kafka.ts';
import { type Check, fail, ok, warn } from './check.ts';
import { checkRedis, type RedisAddress } from './check-redis.ts';
import { checkRights } from './check-rights.ts';
import { checkTopics } from './check-topics.ts';
import { within } from './within.ts';

type Env = Record<string, string | undefined>;
export type EngineUrls = { kafka: string | undefined; redis: RedisAddress | undefined; dynamodb: string | undefined };

/**
 * Asks each engine itself, with the clients that the services use.
 * @param role whose rights are tried. With one, DynamoDB needs no address: it is AWS's
 */
export async function checkEngines(urls: EngineUrls, env: Env, role: ServiceName | undefined): Promise<Check[]> {
  const none = (name: string, otherwise = '') => [
    warn(name, 'no address known', `run \`npm start\`, or set its address in the environment${otherwise}`),
  ];
  const noDynamo = () => (role === undefined ? none('DynamoDB', '; in AWS, where it has none, say --role') : []);
  const parts = await Promise.all([
    urls.kafka === undefined ? none('Kafka') : checkKafka(urls.kafka, env),
    urls.redis === undefined ? none('Redis') : checkRedis(urls.redis, env),
    urls.dynamodb === undefined ? noDynamo() : checkDynamo(urls.dynamodb),
    role === undefined ? [] : checkRights(role, urls.dynamodb, env),
  ]);
  return parts.flat();
}

async function checkKafka(brokers: string, env: Env): Promise<Check[]> {
  try {
    const addresses = brokers.replace(/^\w+:\/\//, '').split(',');
    const kafka = openKafka('doctor', addresses, readSettings(['KAFKA_AUTH', 'AWS_REGION'], env));
    return [ok('Kafka', `answers at ${brokers}`), ...(await within(checkTopics(kafka, env)))];
  } catch (error) {
    const remedy =
      env.KAFKA_AUTH === 'msk-iam'
        ? 'KAFKA_AUTH=msk-iam: is it the port for IAM (9098), and does the AWS SDK find credentials of the role here?'
        : 'is it running? .restante/logs has its last words; npm start starts it. Where it asks who is there: KAFKA_AUTH';
    return [fail('Kafka', `${brokers}: ${(error as Error).message}`, remedy)];
  }
}

const TABLES = ['messages', 'tombstones', 'conversations', 'memberships', 'cursors', 'receipts', 'devices', 'logs'];

async function checkDynamo(endpoint: string): Promise<Check[]> {
  const client = new DynamoDBClient({
    endpoint,
    region: process.env.AWS_REGION ?? 'us-east-1',
    maxAttempts: 1,
    // DynamoDB Local takes any; against AWS the default chain is used, for there is no endpoint to give.
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  try {
    const { TableNames = [] } = await within(client.send(new ListTablesCommand({ Limit: 100 })));
    return [ok('DynamoDB', `answers at ${endpoint}`), judgeTables(TableNames)];
  } catch (error) {
    return [fail('DynamoDB', `${endpoint}: ${(error as Error).message}`, 'is it running? npm start starts it')];
  } finally {
    client.destroy();
  }
}

/** @param names of every table that there is; a prefix before ours is allowed */
export function judgeTables(names: readonly string[]): Check {
  const missing = TABLES.filter(
    (table) => !names.some((name) => name === table || name.endsWith(`-${table}`) || name.endsWith(`_${table}`)),
  );
  if (missing.length > 0) return fail('Tables', `missing: ${missing.join(', ')}`, 'npm start makes them');
  return ok('Tables', TABLES.join(', '));
}
