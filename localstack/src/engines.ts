import { join } from 'node:path';
import { readSettings } from '@restante/shared/runtime/settings';
import { startDynamo } from './dynamo-engine.ts';
import type { Engine, EngineName, EngineOptions } from './engine.ts';
import { applicationsEnv } from './init/push-applications.ts';
import { startKafka } from './kafka-engine.ts';
import { startRedis, startRedisClusterEngine } from './redis-engine.ts';
import type { Report } from './report.ts';
import { startSns } from './sns-engine.ts';

type PushEnv = { SNS_ENDPOINT: string } & ReturnType<typeof applicationsEnv>;
export type EngineEnv = { KAFKA_BROKERS: string; REDIS_URL: string; DYNAMODB_ENDPOINT: string } & Partial<PushEnv> & {
    REDIS_CLUSTER?: 'true';
  };

export type EngineKind = {
  name: EngineName;
  /** By which clients find it: where it is set already, nothing is started. */
  variable: keyof EngineEnv;
  start(options: EngineOptions, report: Report): Promise<Engine>;
  /** What else clients are told of one that was started. */
  env?: Partial<EngineEnv>;
};

const REDIS: EngineKind = { name: 'redis', variable: 'REDIS_URL', start: startRedis };
const REDIS_OF_THREE: EngineKind = { ...REDIS, start: startRedisClusterEngine, env: { REDIS_CLUSTER: 'true' } };
const stores = (redisNodes: number): readonly EngineKind[] => [
  { name: 'kafka', variable: 'KAFKA_BROKERS', start: startKafka },
  redisNodes === 3 ? REDIS_OF_THREE : REDIS,
  { name: 'dynamodb', variable: 'DYNAMODB_ENDPOINT', start: startDynamo },
];

/** The engines that these settings need: SNS only where pushes go by it. */
export function enginesFor(env: Record<string, string | undefined>): readonly EngineKind[] {
  const { PUSH_PROVIDER, AWS_REGION, REDIS_NODES } = readSettings(['PUSH_PROVIDER', 'AWS_REGION', 'REDIS_NODES'], env);
  const engines = stores(REDIS_NODES);
  return PUSH_PROVIDER === 'sns' ? [...engines, snsWithApplications(AWS_REGION)] : engines;
}

function snsWithApplications(region: string): EngineKind {
  return {
    name: 'sns',
    variable: 'SNS_ENDPOINT',
    env: applicationsEnv(region),
    start: (options, report) => startSns(options, region, report),
  };
}

export type StartedEngines = { env: EngineEnv; engines: Engine[]; kill(): Promise<void> };

/** Starts the engines that `env` doesn't name, all at once. Nothing is left running where one of them fails. */
export async function startEngines(
  { dataDir, env }: { dataDir: string; env: Record<string, string | undefined> },
  report: Report = () => {},
): Promise<StartedEngines> {
  const urls: Record<string, string> = {};
  const starts = enginesFor(env).map(async ({ name, variable, start, env: more }) => {
    const given = env[variable];
    if (given) {
      urls[variable] = given;
      return [];
    }
    const engine = await start({ dataDir: join(dataDir, name) }, report);
    Object.assign(urls, more, { [variable]: engine.url });
    return [engine];
  });
  const results = await Promise.allSettled(starts);
  const engines = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  const kill = async () => {
    await Promise.all(engines.map((engine) => engine.kill()));
  };
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) {
    await kill();
    throw failure.reason;
  }
  return { env: urls as EngineEnv, engines, kill };
}
