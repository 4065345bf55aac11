import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, startChild } from '@restante/localstack/child';
import { startDynamo } from '@restante/localstack/dynamo-engine';
import type { Engine } from '@restante/localstack/engine';
import { startKafka } from '@restante/localstack/kafka-engine';
import { freePort } from '@restante/localstack/ports';
import { startRedis } from '@restante/localstack/redis-engine';
import { type Stack, startStack } from '../support/stack.ts';
import { type Line, startLine } from './line.ts';

export type EngineName = 'kafka' | 'redis' | 'dynamodb';
export type ServiceKind = 'gateway' | 'messaging' | 'notification';
export const KINDS: readonly ServiceKind[] = ['gateway', 'messaging', 'notification'];
export const GATEWAYS = 2;
const WORKERS = 2;

/** Short, so that a fault is over, or its consequences have come, within seconds. */
export const LEASE_MS = 4_000;
/** After it Kafka gives a silent consumer's partitions to others (consumer-session.ts). */
export const SESSION_TIMEOUT_MS = 8_000;
const SETTINGS = {
  LEASE_MS: String(LEASE_MS),
  WINDOW_ENTRIES: '16',
  PREFETCH_ENTRIES: '48',
  REDELIVER_AFTER_MS: '2000',
  PUSH_REPEAT_MS: '5000',
  HEARTBEAT_SECONDS: '8',
  DRAIN_MS: '500',
  RATE_SEND_PER_SECOND: '100000',
  RATE_SEND_BURST: '100000',
  RATE_CONNECT_PER_MINUTE: '100000',
};
const CREDENTIALS = { AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' };
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CLOCK = new URL('../faults/shifted-clock.mjs', import.meta.url);

export type Lines = Record<EngineName | 'clients', Line[]>;
/** What can be hurt of a deployment that somebody else runs. */
export type Outside = { lines: Lines; alone: ReturnType<typeof turns> };

/** Whoever hurts the same thing waits: a fault on a fault would only hide one of them. */
export function turns(): <T>(target: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return (target, work) => {
    const run = (last.get(target) ?? Promise.resolve()).then(work);
    // A nemesis that failed has said so; the next has its turn all the same.
    last.set(
      target,
      run.catch(() => undefined),
    );
    return run;
  };
}

type Kept = { engine: Engine; start: () => Promise<Engine> };

/**
 * Everything, on engines of its own, with a line that can fail between any two: services reach the engines by one line an engine, clients
 * a gateway by one each.
 */
export class System {
  readonly dir: string;
  readonly lines: Lines;
  readonly stack: Stack;
  /** Where clients come. */
  readonly gatewayUrls: string[];
  /** Past the lines, for those who look. */
  readonly direct: { redis: string; dynamodb: string; kafka: string };
  readonly #root: string;
  readonly #engines: Record<EngineName, Kept>;
  readonly #env: Record<string, string>;
  readonly #clocks: Record<string, number> = {};
  readonly #extras = new Set<Child>();
  readonly alone = turns();

  private constructor(
    base: { dir: string; root: string; env: Record<string, string> },
    engines: Record<EngineName, Kept>,
    lines: Lines,
    stack: Stack,
  ) {
    this.dir = base.dir;
    this.#root = base.root;
    this.#env = base.env;
    this.#engines = engines;
    this.lines = lines;
    this.stack = stack;
    this.gatewayUrls = lines.clients.map(({ port }) => `http://127.0.0.1:${port}`);
    this.direct = {
      redis: engines.redis.engine.url,
      dynamodb: engines.dynamodb.engine.url,
      kafka: engines.kafka.engine.url,
    };
  }

  /** @param root whose services run: a mutated copy's, or this repository's */
  static async start(settings: Record<string, string> = {}, root = ROOT): Promise<System> {
    const dir = mkdtempSync(join(tmpdir(), 'restante-faults-'));
    const ports = { kafka: await freePort(), redis: await freePort(), dynamodb: await freePort() };
    const lines: Lines = {
      kafka: [await startLine({ port: ports.kafka })],
      redis: [await startLine({ port: ports.redis })],
      dynamodb: [await startLine({ port: ports.dynamodb })],
      clients: [],
    };
    const at = (name: EngineName) => `127.0.0.1:${lines[name][0]!.port}`;
    const folder = (name: EngineName) => join(dir, name);
    const start = {
      kafka: () => startKafka({ dataDir: folder('kafka'), port: ports.kafka, advertised: at('kafka') }),
      redis: () => startRedis({ dataDir: folder('redis'), port: ports.redis }),
      dynamodb: () => startDynamo({ dataDir: folder('dynamodb'), port: ports.dynamodb }),
    };
    const [kafka, redis, dynamodb] = await Promise.all([start.kafka(), start.redis(), start.dynamodb()]);
    const clocks = join(dir, 'clocks.json');
    writeFileSync(clocks, '{}');
    const env = {
      ...CREDENTIALS,
      ...SETTINGS,
      ...settings,
      KAFKA_BROKERS: at('kafka'),
      REDIS_URL: `redis://${at('redis')}`,
      DYNAMODB_ENDPOINT: `http://${at('dynamodb')}`,
      FAULT_CLOCKS: clocks,
      NODE_OPTIONS: `--import ${CLOCK.href}`,
    };
    const engines = {
      kafka: { engine: kafka, start: start.kafka },
      redis: { engine: redis, start: start.redis },
      dynamodb: { engine: dynamodb, start: start.dynamodb },
    };
    try {
      const counts = { gateways: GATEWAYS, messaging: WORKERS, notification: WORKERS };
      const stack = await startStack({ env: { ...env, RESTANTE_ROOT: root }, ...counts });
      for (const url of stack.gatewayUrls) lines.clients.push(await startLine({ port: Number(new URL(url).port) }));
      return new System({ dir, root, env }, engines, lines, stack);
    } catch (error) {
      await Promise.all([kafka.kill(), redis.kill(), dynamodb.kill()]);
      await Promise.all(Object.values(lines).flatMap((some) => some.map((line) => line.close())));
      rmSync(dir, { recursive: true, force: true });
      throw error;
    }
  }

  services(kind: ServiceKind): { name: string; pid: number }[] {
    const { gateways, services } = this.stack.run;
    return [...gateways, ...services].filter(({ name }) => name.startsWith(`${kind}-`));
  }

  async killEngine(name: EngineName): Promise<void> {
    await this.#engines[name].engine.kill();
  }

  async startEngine(name: EngineName): Promise<void> {
    const kept = this.#engines[name];
    kept.engine = await kept.start();
  }

  /** Takes the last of what Redis has written from its file, as a crash of the machine does: to be called while it is down. @returns the bytes */
  rollRedisBack(part: number): number {
    const file = join(this.dir, 'redis', 'appendonly.aof');
    if (!existsSync(file)) return 0;
    const { size } = statSync(file);
    const lost = Math.min(size, Math.round(size * part));
    truncateSync(file, size - lost);
    return lost;
  }

  /** Sets a service's clock off. */
  shiftClock(name: string, offMs: number): void {
    this.#clocks[name] = offMs;
    writeFileSync(this.#env.FAULT_CLOCKS!, JSON.stringify(this.#clocks));
  }

  /** One more service than the launcher knows of. */
  async startExtra(kind: ServiceKind, name: string): Promise<Child> {
    const logs = join(this.dir, 'extra-logs');
    mkdirSync(logs, { recursive: true });
    const lines: string[] = [];
    const child = startChild({
      command: process.execPath,
      args: ['--enable-source-maps', join(this.#root, kind, 'dist', 'main.js')],
      env: {
        ...process.env,
        ...this.#env,
        PORT: String(await freePort()),
        ADMIN_PORT: '0',
        JWT_SECRET: this.stack.run.jwtSecret,
        DATA_DIR: this.stack.dir,
        SERVICE_NAME: name,
      },
      onLine: (line) => lines.push(line),
    });
    this.#extras.add(child);
    child.exited.then(() => {
      this.#extras.delete(child);
      writeFileSync(join(logs, `${name}.${child.pid}.log`), `${lines.join('\n')}\n`);
    });
    return child;
  }

  /** Ends everything. @param keep where the logs of the services go */
  async stop(keep?: string): Promise<void> {
    await Promise.all([...this.#extras].map((child) => child.stop(0)));
    if (keep !== undefined) {
      for (const [from, to] of [
        [join(this.stack.dir, 'logs'), 'logs'],
        [join(this.dir, 'extra-logs'), 'logs'],
      ] as const)
        if (existsSync(from)) cpSync(from, join(keep, to), { recursive: true });
    }
    await this.stack.kill();
    await Promise.all(Object.values(this.#engines).map(({ engine }) => engine.kill()));
    await Promise.all(Object.values(this.lines).flatMap((lines) => lines.map((line) => line.close())));
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
