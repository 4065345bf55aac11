import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TOPICS } from '@restante/shared/contract/events';
import { createKafka } from '@restante/shared/kafka/client';
import { logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { createLogger } from '@restante/shared/runtime/logger';
import { Redis } from 'ioredis';
import { SignJWT } from 'jose';
import type { CreateDriver } from '../driver.ts';
import { sleep } from '../processes.ts';
import type { Measured } from '../server-host.ts';
import { npmVersion } from '../versions.ts';
import { Holder } from './holder.ts';
import { RestanteClient } from './restante-client.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** The first start on a machine fetches the engines. */
const START_MS = 300_000;
const BARRIER_MS = 15_000;
const SETTLE_MS = 60_000;
/** Of MEMORY USAGE. Claims are alike, and millions: Redis does nothing else while it looks. */
const EVERY_ELEMENT = 0;
const CLAIMS_LOOKED_AT = 100;
/** Beside them the process has files of its own, and many a machine gives it 20,000. */
const CONNECTIONS_IN_PROCESS = 15_000;
const DEVICE = 'bench';
/** Of the devices in an inbox's meta (prelude.lua), where this one's cursor is. */
const CURSOR = new RegExp(`(?:^|;)${DEVICE},(\\d+),`);
const SENDER = 'bench-sender';

type RunFile = {
  gateways: { name: string; pid: number; url: string }[];
  services: { name: string; pid: number }[];
  engines: { name: string; pid?: number; url: string }[];
  jwtSecret: string;
};
type Waiting = { accept: () => void; reject: (error: Error) => void };

/** This system, as built, through its own launcher: every process counted, engines apart. */
export const createRestante: CreateDriver = (host, env) => {
  const users = new Map<string, RestanteClient>();
  const accepting = new Map<string, Waiting>();
  const unstored = new Set<string>();
  const holder = new Holder();
  const dataDir = join(host.folder, 'data');
  let run: RunFile;
  let sender: RestanteClient;
  let redis: Redis;
  let sent = 0;
  let stored = 0;
  let connections = 0;
  let inGroup: readonly string[] = [];
  /** Entries that each of them has been given. */
  let toGroup = 0;
  const token = (user: string) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(user)
      .setAudience('restante')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(run.jwtSecret));
  /** Neighbours are on different gateways, so that most messages cross; a user who returns may find another. */
  const nextGateway = () => (run.gateways[connections++ % run.gateways.length] as RunFile['gateways'][0]).url;

  function onAnswer({ t, id = '', code, message }: { t: string; id?: string; code?: string; message?: string }): void {
    if (t === 'accepted') {
      accepting.get(id)?.accept();
      accepting.delete(id);
    } else if (t === 'stored') {
      if (unstored.delete(id)) stored++;
    } else if (t === 'rejected') {
      unstored.delete(id);
      accepting.get(id)?.reject(new Error(`rejected ${code}: ${message}`));
      accepting.delete(id);
    } else if (t === 'error') {
      // It names no message: nothing that was sent can be counted on.
      for (const one of accepting.values()) one.reject(new Error(`error ${code}: ${message}`));
      accepting.clear();
      unstored.clear();
    }
  }

  return {
    name: 'restante',
    durability:
      'Kafka, acks=all (one broker here, no fsync per message); history in DynamoDB and inbox in Redis before the offset is committed; an ack trims only after all devices gave it',
    versions: async () => ({ restante: gitVersion(), ...(await engineVersions(redis)), ws: npmVersion('ws') }),
    async start() {
      await host.spawn('launcher', process.execPath, [join(ROOT, 'localstack/dist/main.js')], {
        group: 'ours',
        measured: false,
        env: {
          DATA_DIR: dataDir,
          PORT: '0',
          ADMIN_PORT: '0',
          LOG_LEVEL: 'warn',
          RATE_SEND_PER_SECOND: '1000000',
          RATE_SEND_BURST: '1000000',
          CONNECT_PER_SECOND: '1000000',
          ...env,
        },
      });
      const file = join(dataDir, 'run.json');
      await host.until(
        'launcher',
        START_MS,
        () => existsSync(file) && /^ready/m.test(readFileSync(join(host.folder, 'launcher.log.txt'), 'utf8')),
      );
      run = JSON.parse(readFileSync(file, 'utf8')) as RunFile;
      host.adopt(processesOf(run));
      redis = new Redis((run.engines.find(({ name }) => name === 'redis') as RunFile['engines'][0]).url);
      sender = await RestanteClient.open((run.gateways[0] as RunFile['gateways'][0]).url, DEVICE, await token(SENDER), {
        onAnswer,
      });
      sender.onClose(() => onAnswer({ t: 'error', code: 'closed', message: "the sender's connection closed" }));
    },
    async stop() {
      for (const client of users.values()) client.terminate();
      holder.stop();
      sender?.terminate();
      redis?.disconnect();
    },
    async connectUser(id, onMessage) {
      const url = nextGateway();
      if (users.size >= CONNECTIONS_IN_PROCESS)
        return holder.open({ id, url, device: DEVICE, token: await token(id) }, onMessage);
      users.set(id, await RestanteClient.open(url, DEVICE, await token(id), { onMessage }));
    },
    async disconnectUser(id) {
      const user = users.get(id);
      users.delete(id);
      await user?.close();
    },
    sendTo: (to, text) =>
      new Promise((resolve, reject) => {
        const id = `bench-id-${sent++}`;
        accepting.set(id, { accept: resolve, reject });
        unstored.add(id);
        sender.send(`{"t":"send","id":"${id}","to":"${to}","body":${JSON.stringify(text)}}`);
      }),
    async settled() {
      for (const end = Date.now() + SETTLE_MS; unstored.size > 0; await sleep(5)) {
        if (Date.now() > end)
          throw new Error(`${unstored.size} accepted messages were not stored within ${SETTLE_MS} ms`);
      }
    },
    stored: () => stored,
    // The cursor in the server's store is what counts: read there, so that asking costs our processes nothing, until it is where the last ack said.
    async ackBarrier(id) {
      const user = users.get(id);
      if (user === undefined) return;
      await new Promise(setImmediate);
      for (const end = Date.now() + BARRIER_MS; Date.now() < end; await sleep(1)) {
        const devices = await redis.hget(`inbox:{${id}}:meta`, 'devices');
        if (Number(CURSOR.exec(devices ?? '')?.[1] ?? -1) >= user.acked) return;
      }
      throw new Error(`the acks of ${id} were not taken within ${BARRIER_MS} ms`);
    },
    group: {
      async make(members) {
        inGroup = members;
        const { url } = run.gateways[0] as RunFile['gateways'][0];
        const response = await fetch(`${url}/v1/conversations`, {
          method: 'POST',
          headers: { authorization: `Bearer ${await token(SENDER)}` },
          body: JSON.stringify({ id: 'bench', members }),
        });
        if (response.status !== 201)
          throw new Error(`the group was not made: ${response.status} ${await response.text()}`);
        await untilInboxes(redis, inGroup, ++toGroup);
      },
      async send(text) {
        const id = `bench-id-${sent++}`;
        sender.send(`{"t":"send","id":"${id}","conversation":"grp:bench","body":${JSON.stringify(text)}}`);
        await untilInboxes(redis, inGroup, ++toGroup);
      },
    },
    async engineCounts() {
      const brokers = [(run.engines.find(({ name }) => name === 'kafka') as RunFile['engines'][0]).url];
      const kafka = createKafka({ brokers, clientId: 'bench', logger: createLogger('bench', 'silent') });
      const records = await withAdmin(kafka, (admin) =>
        Promise.all(
          [TOPICS.incoming, TOPICS.userEvents, TOPICS.outgoing].map(async (topic) => {
            const ends = await logEnds(admin, topic);
            return [`records of ${topic}`, [...ends.values()].reduce((sum, end) => sum + end, 0)] as const;
          }),
        ),
      );
      const stats = await redis.info('commandstats');
      const calls = (name: string) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0);
      const all = [...stats.matchAll(/^cmdstat_\w+:calls=(\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
      return { ...Object.fromEntries(records), 'Redis scripts': calls('evalsha'), 'Redis commands': all };
    },
    async storeBytes() {
      const info = await redis.info('memory');
      return {
        redisBytes: Number(/^used_memory:(\d+)/m.exec(info)?.[1]),
        inboxBytes: await bytesOf(redis, 'inbox:{*}', EVERY_ELEMENT),
        claimBytes: await bytesOf(redis, 'd:{*', CLAIMS_LOOKED_AT),
      };
    },
  };
};

/** Until each inbox has been given so many entries, taken out since or not. */
async function untilInboxes(redis: Redis, users: readonly string[], entries: number): Promise<void> {
  for (const end = Date.now() + SETTLE_MS; ; await sleep(2)) {
    const pipeline = redis.pipeline();
    for (const user of users) pipeline.hget(`inbox:{${user}}:meta`, 'tail');
    const tails = (await pipeline.exec()) ?? [];
    if (tails.every(([, tail]) => Number(tail) >= entries)) return;
    if (Date.now() > end) throw new Error(`not every inbox had ${entries} entries within ${SETTLE_MS} ms`);
  }
}

/** What the keys take, with the bookkeeping of Redis, judged by so many elements of each. */
async function bytesOf(redis: Redis, match: string, samples: number): Promise<number> {
  let bytes = 0;
  for await (const keys of redis.scanStream({ match, count: 1_000 }) as AsyncIterable<string[]>) {
    const sizes = await Promise.all(keys.map((key) => redis.memory('USAGE', key, 'SAMPLES', samples)));
    bytes += sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  }
  return bytes;
}

function processesOf({ gateways, services, engines }: RunFile): Measured[] {
  return [
    ...[...gateways, ...services].map(({ name, pid }) => ({ name, pid, group: 'ours' as const })),
    ...engines.flatMap(({ name, pid }) => (pid === undefined ? [] : [{ name, pid, group: 'engine' as const }])),
  ];
}

function gitVersion(): string {
  try {
    return execFileSync('git', ['-C', ROOT, 'describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return '?';
  }
}

/** Versions of the engines: Redis's own word, for it may be the one on PATH; the pom's for the others, which it pins. */
async function engineVersions(redis: Redis): Promise<Record<string, string>> {
  const pom = readFileSync(join(ROOT, 'localstack/pom.xml'), 'utf8');
  const pinned = (artifact: string) =>
    new RegExp(`<artifactId>${artifact}</artifactId>\\s*<version>([^<]+)`).exec(pom)?.[1] ?? '?';
  return {
    kafka: pinned('kafka_2.13'),
    'dynamodb-local': pinned('DynamoDBLocal'),
    redis: /^redis_version:(\S+)/m.exec(await redis.info('server'))?.[1] ?? '?',
  };
}
