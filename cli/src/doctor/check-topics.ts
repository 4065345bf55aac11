import type { createKafka } from '@restante/shared/kafka/client';
import { incomingTopic, TOPIC_SETTINGS, type TopicSpec, topicSpecs, withAdmin } from '@restante/shared/kafka/topics';
import { readSettings } from '@restante/shared/runtime/settings';
import { type Check, fail, ok, warn } from './check.ts';

type Kafka = ReturnType<typeof createKafka>;
/** What Kafka calls a topic among the things that have settings. */
const TOPIC_RESOURCE = 2;

type FoundTopic = { partitions: number; config: ReadonlyMap<string, string> };
/** Settings of a topic without which what was accepted could be lost or put in another order. */
const PROMISES = ['cleanup.policy', 'min.insync.replicas', 'unclean.leader.election.enable', 'message.timestamp.type'];

/** Topics as they are, against what the services would make. @throws SettingsError where a setting is bad */
export async function checkTopics(kafka: Kafka, env: Record<string, string | undefined>): Promise<Check[]> {
  const settings = readSettings(TOPIC_SETTINGS, env);
  const specs = topicSpecs(settings);
  return withAdmin(kafka, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata();
    const present = topics.filter(({ name }) => specs.some(({ topic }) => topic === name));
    const resources = present.map(({ name }) => ({ type: TOPIC_RESOURCE, name }));
    const described =
      resources.length > 0 ? await admin.describeConfigs({ includeSynonyms: false, resources }) : undefined;
    const found = new Map(
      present.map(({ name, partitions }): [string, FoundTopic] => {
        const entries = described?.resources.find((one) => one.resourceName === name)?.configEntries ?? [];
        const config = new Map(entries.map(({ configName, configValue }) => [configName, configValue]));
        return [name, { partitions: partitions.length, config }];
      }),
    );
    return judgeTopics(specs, found);
  });
}

export function judgeTopics(specs: readonly TopicSpec[], found: ReadonlyMap<string, FoundTopic>): Check[] {
  const missing = specs.filter(({ topic }) => !found.has(topic)).map(({ topic }) => topic);
  if (missing.length > 0)
    return [
      fail(
        'Topics',
        `missing: ${missing.join(', ')}`,
        'npm start makes them; on another cluster: node localstack/dist/init/main.js with KAFKA_BROKERS',
      ),
    ];
  const names = specs.map(({ topic }) => `${topic} ${found.get(topic)!.partitions}`).join(', ');
  return [ok('Topics', names), ...specs.flatMap((spec) => judgeTopic(spec, found.get(spec.topic)!))];
}

function judgeTopic({ topic, partitions, config }: TopicSpec, found: FoundTopic): Check[] {
  const checks: Check[] = [];
  if (found.partitions !== partitions) {
    const remedy = topic.startsWith(incomingTopic(1))
      ? 'set INCOMING_PARTITIONS to what the topic has, or raise INCOMING_EPOCH, which begins a new one'
      : 'set GATEWAY_SLOTS or USER_EVENT_PARTITIONS to what the topic has: no service starts otherwise';
    checks.push(fail(`Partitions of ${topic}`, `${found.partitions}, the settings say ${partitions}`, remedy));
  }
  for (const name of PROMISES) {
    const [want, has] = [config[name], found.config.get(name)];
    // A managed service may not tell.
    if (want === undefined || has === undefined || has === want) continue;
    if (name === 'min.insync.replicas' && Number(has) > Number(want)) continue;
    checks.push(fail(`${topic}: ${name}`, has, `kafka-configs --alter --topic ${topic} --add-config ${name}=${want}`));
  }
  const keptMs = Number(found.config.get('retention.ms') ?? Number.NaN);
  const wantedMs = Number(config['retention.ms']);
  const forever = keptMs < 0;
  if (!forever && (wantedMs < 0 || keptMs < wantedMs))
    checks.push(
      warn(
        `${topic}: retention.ms`,
        String(keptMs),
        `kafka-configs --alter --topic ${topic} --add-config retention.ms=${wantedMs}: records must outlive an outage`,
      ),
    );
  return checks;
}
