import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Engine, type EngineOptions, startEngine } from './engine.ts';
import { engineFiles } from './engine-files.ts';
import { javaArgs } from './java.ts';
import { freePort } from './ports.ts';
import type { Report } from './report.ts';

export type KafkaOptions = EngineOptions & {
  /** host:port that the broker tells clients to use: that of a proxy, where faults are put between. */
  advertised?: string;
};

/** One Kafka node that is broker and controller, on 127.0.0.1. */
export async function startKafka(options: KafkaOptions, report: Report = () => {}): Promise<Engine> {
  const files = await engineFiles('kafka', report);
  const { dataDir } = options;
  const port = options.port ?? (await freePort());
  const logs = join(dataDir, 'logs');
  mkdirSync(logs, { recursive: true });
  const properties = join(dataDir, 'server.properties');
  const advertised = options.advertised ?? `127.0.0.1:${port}`;
  writeFileSync(properties, brokerProperties({ port, controllerPort: await freePort(), advertised, logs }));
  const unformatted = existsSync(join(logs, 'meta.properties')) ? [] : [clusterId()];
  return startEngine({
    name: 'kafka',
    url: advertised,
    logFile: options.logFile ?? join(dataDir, 'kafka.log'),
    readyWhen: /^restante: ready$/,
    command: 'java',
    args: [...javaArgs(files, { heapMb: 512 }), 'KafkaNode', properties, ...unformatted],
  });
}

/** Of random bytes, as Kafka's own: another log must be told from this one. It may not begin like an option. */
function clusterId(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? clusterId() : id;
}

type Broker = { port: number; controllerPort: number; advertised: string; logs: string };

function brokerProperties({ port, controllerPort, advertised, logs }: Broker): string {
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT',
    listeners: `CLIENTS://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `CLIENTS://${advertised}`,
    'inter.broker.listener.name': 'CLIENTS',
    'log.dirs': logs,
    'auto.create.topics.enable': false,
    'offsets.topic.num.partitions': 4,
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'default.replication.factor': 1,
    // A group of one need not wait for others to join.
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    // How long a node that was killed is kept out after its return, until its former self counts as dead (9 s by default).
    'broker.session.timeout.ms': 2000,
    'broker.heartbeat.interval.ms': 400,
    'log.cleaner.dedupe.buffer.size': 2 * 1024 * 1024,
    'num.io.threads': 4,
    'num.network.threads': 2,
    'background.threads': 2,
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
