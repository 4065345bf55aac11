import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Engine, type EngineOptions, startEngine } from './engine.ts';
import { redisServer } from './engine-files.ts';
import { freePort } from './ports.ts';
import type { Report } from './report.ts';

export type RedisOptions = EngineOptions & {
  /** More options of redis-server, by name. */
  config?: Record<string, string>;
};

/** Redis or Valkey on 127.0.0.1, its data kept by an append-only file that is synced each second. */
export async function startRedis(options: RedisOptions, report: Report = () => {}): Promise<Engine> {
  const server = await redisServer(report);
  const { dataDir } = options;
  const port = options.port ?? (await freePort());
  mkdirSync(dataDir, { recursive: true });
  const config = {
    port: String(port),
    bind: '127.0.0.1',
    dir: dataDir,
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    'list-compress-depth': '1',
    'maxmemory-policy': 'noeviction',
    ...options.config,
  };
  return startEngine({
    name: 'redis',
    url: `redis://127.0.0.1:${port}`,
    logFile: options.logFile ?? join(dataDir, 'redis.log'),
    readyWhen: /Ready to accept connections/,
    command: server,
    args: Object.entries(config).flatMap(([name, value]) => [`--${name}`, value]),
  });
}

export type RedisCluster = { url: string; nodes: Engine[]; stop(): Promise<void> };

const NODES = 3;
const SLOTS = 16_384;
/** A node's own traffic goes by its port and this. */
const BUS_OFFSET = 10_000;
const FORMED_WITHIN_MS = 30_000;

/** Three masters that share the slots: enough to show that every script keeps to one node. What was formed before is found again on its ports. */
export async function startRedisCluster(
  { dataDir, logFile, port }: EngineOptions,
  report: Report = () => {},
): Promise<RedisCluster> {
  const ports = await portsOf(dataDir, port);
  const nodes = await Promise.all(
    ports.map(async (own, index) => {
      const config = { 'cluster-enabled': 'yes', 'cluster-node-timeout': '2000' };
      const log = logFile === undefined ? {} : { logFile: logFile.replace(/\.log$/, `-${index + 1}.log`) };
      return startRedis({ dataDir: join(dataDir, `node-${index + 1}`), port: own, config, ...log }, report);
    }),
  );
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.kill()));
  };
  try {
    await formCluster(ports);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: nodes[0]!.url, nodes, stop };
}

/** The cluster as one engine, which goes by its first node: where one of them ends, all are started again. */
export async function startRedisClusterEngine(options: EngineOptions, report: Report = () => {}): Promise<Engine> {
  const { url, nodes, stop: kill } = await startRedisCluster(options, report);
  const exited = Promise.race(nodes.map((node) => node.exited)).then(async (exit) => {
    await kill();
    return exit;
  });
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  return { name: 'redis', pid: nodes[0]!.pid, url, exited, stop, kill };
}

/** Nodes know one another by their ports, so these are kept beside the data. */
async function portsOf(dataDir: string, first: number | undefined): Promise<number[]> {
  const file = join(dataDir, 'ports.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as number[];
  const ports = first === undefined ? [] : [first];
  while (ports.length < NODES) ports.push(await freePort([BUS_OFFSET]));
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(file, JSON.stringify(ports));
  return ports;
}

async function formCluster(ports: number[]): Promise<void> {
  const clients = ports.map((port) => new Redis({ host: '127.0.0.1', port }));
  try {
    const share = SLOTS / clients.length;
    const formed = String(await clients[0]!.call('CLUSTER', 'INFO')).includes(`cluster_slots_assigned:${SLOTS}`);
    if (!formed) {
      await Promise.all(
        clients.map((client, index) => {
          const first = Math.ceil(index * share);
          const after = Math.ceil((index + 1) * share);
          return client.call(
            'CLUSTER',
            'ADDSLOTS',
            ...Array.from({ length: after - first }, (_, slot) => String(first + slot)),
          );
        }),
      );
      await Promise.all(
        clients.slice(1).map((client) => client.call('CLUSTER', 'MEET', '127.0.0.1', String(ports[0]))),
      );
    }
    const deadline = Date.now() + FORMED_WITHIN_MS;
    while (!(await Promise.all(clients.map((client) => isWhole(client, ports.length)))).every(Boolean)) {
      if (Date.now() > deadline) throw new Error(`the Redis Cluster did not form within ${FORMED_WITHIN_MS / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    for (const client of clients) client.disconnect();
  }
}

async function isWhole(client: Redis, nodes: number): Promise<boolean> {
  const info = String(await client.call('CLUSTER', 'INFO'));
  return (
    /cluster_state:ok/.test(info) &&
    info.includes(`cluster_known_nodes:${nodes}`) &&
    info.includes(`cluster_size:${nodes}`)
  );
}
