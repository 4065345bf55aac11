import type { Admin, Kafka } from 'kafkajs';
import { MAX_RECORD_BYTES, TOPICS } from '../contract/events.ts';
import { OPERATOR_TOPIC } from '../contract/operator-actions.ts';
import type { SettingsOf } from '../runtime/settings.ts';
import { sleep } from '../runtime/sleep.ts';
import { kafkaErrorType } from './errors.ts';

export type TopicSpec = {
  topic: string;
  partitions: number;
  replicationFactor: number;
  config: Record<string, string>;
};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** How long the log of commands is kept: as long as a sender's retry is recognised, and an outage may last. */
const INCOMING_RETENTION_MS = 7 * DAY_MS;

/** How long it may take until every broker knows a new topic. */
const SPREAD_MS = 10_000;
const SPREAD_POLL_MS = 50;

/** What topics are made by, and held against. */
export const TOPIC_SETTINGS = [
  'INCOMING_PARTITIONS',
  'USER_EVENT_PARTITIONS',
  'GATEWAY_SLOTS',
  'REPLICATION_FACTOR',
  'INCOMING_EPOCH',
  'DEDUPE_SECONDS',
] as const;

/** The name of an epoch's topic (DESIGN.md, decision 1). */
export function incomingTopic(epoch: number): string {
  return epoch === 1 ? TOPICS.incoming : `${TOPICS.incoming}.${epoch}`;
}

/** Restante's topics. */
export function topicSpecs(settings: SettingsOf<(typeof TOPIC_SETTINGS)[number]>): TopicSpec[] {
  const replicationFactor = settings.REPLICATION_FACTOR;
  const config = (retentionMs: number, more: Record<string, string> = {}): Record<string, string> => ({
    'cleanup.policy': 'delete',
    'retention.ms': String(retentionMs),
    'min.insync.replicas': String(Math.max(1, replicationFactor - 1)),
    'unclean.leader.election.enable': 'false',
    'max.message.bytes': String(2 * 1024 * 1024 + MAX_RECORD_BYTES),
    ...more,
  });
  return [
    {
      topic: incomingTopic(settings.INCOMING_EPOCH),
      partitions: settings.INCOMING_PARTITIONS,
      replicationFactor,
      // The broker's clock, one per partition, not each gateway's.
      config: config(Math.max(INCOMING_RETENTION_MS, settings.DEDUPE_SECONDS * 1000), {
        'message.timestamp.type': 'LogAppendTime',
      }),
    },
    {
      topic: TOPICS.userEvents,
      partitions: settings.USER_EVENT_PARTITIONS,
      replicationFactor,
      config: config(3 * DAY_MS),
    },
    { topic: TOPICS.outgoing, partitions: settings.GATEWAY_SLOTS, replicationFactor, config: config(HOUR_MS) },
    { topic: TOPICS.deadLetters, partitions: 1, replicationFactor, config: config(30 * DAY_MS) },
    {
      topic: TOPICS.receipts,
      partitions: settings.USER_EVENT_PARTITIONS,
      replicationFactor,
      config: config(3 * DAY_MS),
    },
    // The audit log: nothing of it is ever removed.
    { topic: OPERATOR_TOPIC, partitions: 1, replicationFactor, config: config(-1) },
  ];
}

/** A topic is there with another number of partitions than the settings say. */
export class TopicMismatchError extends Error {
  override name = 'TopicMismatchError';
}

/**
 * Makes the topics that are absent and checks the others. Safe under several processes at once.
 * @throws TopicMismatchError where a topic has another number of partitions: keys would go to other partitions than before.
 */
export async function ensureTopics(kafka: Kafka, specs: readonly TopicSpec[]): Promise<void> {
  await withAdmin(kafka, async (admin) => {
    const present = new Set(await admin.listTopics());
    for (const spec of specs) if (!present.has(spec.topic)) await createTopic(admin, spec);
    const found = await partitionCounts(admin, specs);
    const wrong = specs.filter((spec) => found.get(spec.topic) !== spec.partitions);
    if (wrong.length > 0)
      throw new TopicMismatchError(wrong.map((spec) => describeMismatch(spec, found.get(spec.topic))).join('; '));
  });
}

async function createTopic(admin: Admin, spec: TopicSpec): Promise<void> {
  try {
    await admin.createTopics({
      waitForLeaders: false,
      timeout: 10_000,
      topics: [
        {
          topic: spec.topic,
          numPartitions: spec.partitions,
          replicationFactor: spec.replicationFactor,
          configEntries: Object.entries(spec.config).map(([name, value]) => ({ name, value })),
        },
      ],
    });
  } catch (error) {
    // One error a topic comes wrapped in a KafkaJSAggregateError, which is no export that an ES module could name.
    const errors = (error as { errors?: unknown[] }).errors ?? [error];
    const onlyExists = errors.every((one) => kafkaErrorType(one) === 'TOPIC_ALREADY_EXISTS');
    if (!onlyExists)
      throw new Error(`can't make topic ${spec.topic}: ${errors.map(String).join('; ')}`, { cause: error });
  }
}

/**
 * Partitions by topic, once each partition has a leader. Brokers hear of a new topic one after the other: until then one that is
 * asked does not know it, or nobody leads it, which kafkajs's own waiting takes for a failure.
 */
async function partitionCounts(admin: Admin, specs: readonly TopicSpec[]): Promise<Map<string, number>> {
  const end = Date.now() + SPREAD_MS;
  for (;;) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: specs.map((spec) => spec.topic) });
      if (topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0)) || Date.now() > end)
        return new Map(topics.map((topic) => [topic.name, topic.partitions.length]));
    } catch (error) {
      const spreading = ['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'].includes(String(kafkaErrorType(error)));
      if (!spreading || Date.now() > end) throw error;
    }
    await sleep(SPREAD_POLL_MS);
  }
}

function describeMismatch(spec: TopicSpec, found: number | undefined): string {
  const remedy = spec.topic.startsWith(TOPICS.incoming)
    ? 'set INCOMING_PARTITIONS back, or raise INCOMING_EPOCH, which begins a new topic once this one is drained'
    : 'set the number of partitions back to what the topic has, or stop every service, delete the topic and start again';
  return `topic ${spec.topic} has ${found ?? 'no'} partitions, the settings say ${spec.partitions}: ${remedy}`;
}

/** The end of each partition: the offset that its next record will get. */
export async function logEnds(admin: Admin, topic: string): Promise<Map<number, number>> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return new Map(offsets.map(({ partition, high }) => [partition, Number(high)]));
}

/** What a group has committed of a topic; partitions without a commit are left out. */
export async function committed(admin: Admin, groupId: string, topic: string): Promise<Map<number, number>> {
  const topics = await admin.fetchOffsets({ groupId, topics: [topic] });
  const partitions = topics.find((one) => one.topic === topic)?.partitions ?? [];
  return new Map(
    partitions
      .map(({ partition, offset }): [number, number] => [partition, Number(offset)])
      .filter(([, offset]) => offset >= 0),
  );
}

/** The cluster's own name for itself: another one means other logs. */
export async function clusterId(kafka: Kafka): Promise<string> {
  return withAdmin(kafka, async (admin) => (await admin.describeCluster()).clusterId);
}

/** Runs `work` with an admin client that is connected, and closed afterwards. */
export async function withAdmin<T>(kafka: Kafka, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}
