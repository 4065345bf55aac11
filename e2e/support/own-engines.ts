import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDynamo } from '@restante/localstack/dynamo-engine';
import type { Engine, EngineOptions } from '@restante/localstack/engine';
import { startKafka } from '@restante/localstack/kafka-engine';
import { startRedis } from '@restante/localstack/redis-engine';
import { Redis } from 'ioredis';

const KINDS = {
  kafka: { start: startKafka, variable: 'KAFKA_BROKERS' },
  redis: { start: startRedis, variable: 'REDIS_URL' },
  dynamodb: { start: startDynamo, variable: 'DYNAMODB_ENDPOINT' },
} as const;
type Kind = keyof typeof KINDS;

/** Engines that stay away for as long as a test wants: the launcher would start its own again at once. */
export class OwnEngines {
  readonly #dir = mkdtempSync(join(tmpdir(), 'restante-engines-'));
  readonly #running = new Map<Kind, Engine>();

  /** Starts all. @returns the settings that name them */
  async start(): Promise<Record<string, string>> {
    const kinds = Object.keys(KINDS) as Kind[];
    const urls = kinds.map(async (kind) => [KINDS[kind].variable, (await this.#start(kind)).url]);
    return Object.fromEntries(await Promise.all(urls));
  }

  /** Ends it at once, as a crash does, and starts it again after `work`, at its address and on its data. */
  async away(kind: Kind, work: () => Promise<void>): Promise<void> {
    const engine = this.#running.get(kind)!;
    await engine.kill();
    try {
      await work();
    } finally {
      await this.#start(kind, Number(engine.url.split(':').at(-1)));
    }
  }

  /** Keeps what Redis has now. */
  async remembered(): Promise<void> {
    cpSync(join(this.#dir, 'redis'), join(this.#dir, 'redis-then'), { recursive: true });
  }

  /** Redis ends at once, and comes back with what it had then: as after a crash that took its last second, or a failover. */
  async wentBack(): Promise<void> {
    await this.away('redis', async () => {
      rmSync(join(this.#dir, 'redis'), { recursive: true });
      renameSync(join(this.#dir, 'redis-then'), join(this.#dir, 'redis'));
    });
  }

  /** Redis goes on, with nothing. */
  async emptied(): Promise<void> {
    const redis = new Redis(this.#running.get('redis')!.url);
    await redis.flushall();
    redis.disconnect();
  }

  async end(): Promise<void> {
    await Promise.all([...this.#running.values()].map((engine) => engine.kill()));
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  async #start(kind: Kind, port?: number): Promise<Engine> {
    const options: EngineOptions = { dataDir: join(this.#dir, kind), ...(port === undefined ? {} : { port }) };
    const engine = await KINDS[kind].start(options);
    this.#running.set(kind, engine);
    return engine;
  }
}
