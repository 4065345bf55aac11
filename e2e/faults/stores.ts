import { type DynamoDBClient, paginateScan } from '@aws-sdk/client-dynamodb';
import { CONSUMER_GROUPS, TOPICS } from '@restante/shared/contract/events';
import { DUE_SHARDS } from '@restante/shared/inbox/due-queue-redis';
import { inboxKeys } from '@restante/shared/inbox/scripts';
import { createKafka } from '@restante/shared/kafka/client';
import { readRange } from '@restante/shared/kafka/read-range';
import { committed, logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { RedisStore } from '@restante/shared/runtime/redis';
import { pino } from 'pino';
import { readHistory } from '../support/history-table.ts';
import type { Event, Recorder } from './history.ts';
import type { System } from './system.ts';

const logger = pino({ level: 'silent' });
const READ_WITHIN_MS = 60_000;

type Of<T extends Event['t']> = Extract<Event, { t: T }>;

/** Redis, past the line. To be closed. */
export async function redisOf({ direct }: Pick<System, 'direct'>): Promise<RedisStore> {
  const store = new RedisStore({ url: direct.redis, cluster: false, logger });
  await store.ready();
  return store;
}

/** Looks at what the log and the stores hold, as somebody who may look at everything. */
export class Stores {
  readonly #redis: RedisStore;
  readonly #dynamo: DynamoDBClient;
  readonly #kafka: ReturnType<typeof createKafka>;

  private constructor(redis: RedisStore, { direct }: System) {
    this.#redis = redis;
    this.#dynamo = createDynamo({ endpoint: direct.dynamodb, region: 'us-east-1' });
    this.#kafka = createKafka({ brokers: [direct.kafka], clientId: 'checker', logger });
  }

  static async open(system: System): Promise<Stores> {
    return new Stores(await redisOf(system), system);
  }

  async close(): Promise<void> {
    this.#dynamo.destroy();
    await this.#redis.close();
  }

  /** What still moves, or undefined where all is at rest (invariant 7). */
  async unsettled(users: readonly string[]): Promise<string | undefined> {
    for (const user of users) {
      const { entries, base, tail, partial, unflushed, devices } = await this.inbox(user);
      if (partial) return `the inbox of ${user} is partial`;
      if (entries > 0 || base !== tail) return `the inbox of ${user} holds ${entries} entries`;
      for (const [device, cursor] of Object.entries(devices))
        if (cursor !== tail) return `${user}/${device} has acked ${cursor} of ${tail}`;
      if (unflushed > 0) return `${unflushed} cursors of ${user} are not durable`;
    }
    for (const { group, partition, records } of await this.lags())
      if (records > 0) return `${group} lags by ${records} records of partition ${partition}`;
    const due = await this.due();
    if (due.length > 0) return `${due.map(({ user }) => user).join(', ')} are due`;
    return undefined;
  }

  /** Writes all of it down. */
  async record(users: readonly string[], record: Recorder): Promise<void> {
    for (const user of users) {
      record(await this.inbox(user));
      for (const session of await this.#sessions(user)) record(session);
    }
    for (const due of await this.due()) record(due);
    for (const lag of await this.lags()) record(lag);
    for (const row of await readHistory(this.#dynamo)) record({ t: 'row', ...row });
    for await (const { Items } of paginateScan(
      { client: this.#dynamo },
      { TableName: 'cursors', ConsistentRead: true },
    )) {
      for (const item of Items ?? []) {
        const [device = '', ...conversation] = (item.deviceConversation?.S ?? '').split('#');
        const place = { device, conversation: conversation.join('#'), position: Number(item.position?.N) };
        record({ t: 'cursor', user: item.user?.S ?? '', ...place });
      }
    }
    await this.#readAll(TOPICS.incoming, (partition, offset, value) =>
      record({ t: 'logged', partition, offset, value }),
    );
    await this.#readAll(TOPICS.deadLetters, (_partition, _offset, value) =>
      record({ t: 'dead letter', source: String((JSON.parse(value) as { source: string }).source) }),
    );
  }

  async inbox(user: string): Promise<Of<'inbox'>> {
    const { client } = this.#redis;
    const [list, metaKey, , acked] = inboxKeys(user) as [string, string, string, string];
    const [meta, entries, unflushed] = await Promise.all([
      client.hgetall(metaKey),
      client.llen(list),
      client.hlen(acked),
    ]);
    const devices = Object.fromEntries(
      (meta.devices ?? '')
        .split(';')
        .filter((text) => text !== '')
        .map((text) => [text.split(',')[0]!, Number(text.split(',')[1])]),
    );
    const [base, tail] = [Number(meta.base ?? 0), Number(meta.tail ?? 0)];
    return { t: 'inbox', user, entries, base, tail, partial: meta.partial === '1', unflushed, devices };
  }

  async #sessions(user: string): Promise<Of<'session'>[]> {
    const sessions = await this.#redis.client.hgetall(inboxKeys(user)[2]!);
    return Object.entries(sessions).map(([connection, text]) => ({
      t: 'session',
      user,
      connection,
      device: text.split(',')[2] ?? '',
    }));
  }

  async due(): Promise<Of<'due'>[]> {
    const shards = Array.from({ length: DUE_SHARDS }, (_, shard) =>
      this.#redis.client.zrange(`due:${shard}`, '0', '-1'),
    );
    // A member that begins with ! marks a whole shard.
    return (await Promise.all(shards))
      .flat()
      .filter((member) => !member.startsWith('!'))
      .map((user) => ({ t: 'due', user }));
  }

  async lags(): Promise<Of<'lag'>[]> {
    return withAdmin(this.#kafka, async (admin) => {
      const lags: Of<'lag'>[] = [];
      for (const [group, topic] of Object.entries(CONSUMER_GROUPS)) {
        const [ends, done] = await Promise.all([logEnds(admin, topic), committed(admin, group, topic)]);
        for (const [partition, end] of ends)
          lags.push({ t: 'lag', group, partition, records: end - (done.get(partition) ?? 0) });
      }
      return lags;
    });
  }

  async #readAll(topic: string, take: (partition: number, offset: number, value: string) => void): Promise<void> {
    const ends = await withAdmin(this.#kafka, (admin) => logEnds(admin, topic));
    for (const [partition, toOffset] of ends) {
      if (toOffset === 0) continue;
      await readRange({
        kafka: this.#kafka,
        topic,
        partition,
        sinceMs: 0,
        toOffset,
        logger,
        signal: AbortSignal.timeout(READ_WITHIN_MS),
        handle: async (records) => {
          for (const { offset, value } of records) take(partition, offset, value?.toString('utf8') ?? '');
        },
      });
    }
  }
}
