import { join } from 'node:path';
import { startDynamo } from './dynamo-engine.ts';
import type { Engine } from './engine.ts';
import { startKafka } from './kafka-engine.ts';
import { startRedis } from './redis-engine.ts';
import type { Report } from './report.ts';

export type EngineEnv = { KAFKA_BROKERS: string; REDIS_URL: string; DYNAMODB_ENDPOINT: string };

/** Each engine with the variable by which clients find it: where that is set already, nothing is started. */
export const ENGINES = [
  { name: 'kafka', variable: 'KAFKA_BROKERS', start: startKafka },
  { name: 'redis', variable: 'REDIS_URL', start: startRedis },
  { name: 'dynamodb', variable: 'DYNAMODB_ENDPOINT', start: startDynamo },
] as const;

export type StartedEngines = { env: EngineEnv; engines: Engine[]; kill(): Promise<void> };

/** Starts the engines that `env` doesn't name, all at once. Nothing is left running where one of them fails. */
export async function startEngines(
  { dataDir, env }: { dataDir: string; env: Record<string, string | undefined> },
  report: Report = () => {},
): Promise<StartedEngines> {
  const urls: Record<string, string> = {};
  const starts = ENGINES.map(async ({ name, variable, start }) => {
    const given = env[variable];
    if (given) {
      urls[variable] = given;
      return [];
    }
    const engine = await start({ dataDir: join(dataDir, name) }, report);
    urls[variable] = engine.url;
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
