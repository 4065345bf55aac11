import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { testKafka } from './test-topic.ts';
import {
  clusterId,
  committed,
  ensureTopics,
  logEnds,
  TopicMismatchError,
  type TopicSpec,
  withAdmin,
} from './topics.ts';

const kafka = testKafka();
const spec = (partitions: number, topic = `test.${randomUUID()}`): TopicSpec => ({
  topic,
  partitions,
  replicationFactor: 1,
  config: { 'retention.ms': '3600000', 'message.timestamp.type': 'LogAppendTime' },
});

describe('ensureTopics', () => {
  test('makes what is absent, with its configuration, also where two processes do it at once', async () => {
    const specs = [spec(3), spec(1)];
    await Promise.all([ensureTopics(kafka, specs), ensureTopics(kafka, specs), ensureTopics(kafka, specs)]);
    await withAdmin(kafka, async (admin) => {
      expect([...(await logEnds(admin, specs[0]!.topic)).keys()].sort()).toEqual([0, 1, 2]);
      const resource = { type: 2, name: specs[0]!.topic, configNames: ['retention.ms', 'message.timestamp.type'] };
      const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: false });
      const found = Object.fromEntries(
        resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]),
      );
      expect(found).toEqual(specs[0]!.config);
    });
  });

  test('refuses a topic with another number of partitions, and says which, what was found and what to do', async () => {
    const made = spec(3);
    await ensureTopics(kafka, [made]);
    const refused = ensureTopics(kafka, [{ ...made, partitions: 4 }]);
    await expect(refused).rejects.toBeInstanceOf(TopicMismatchError);
    await expect(refused).rejects.toThrow(new RegExp(`${made.topic} has 3 partitions, the settings say 4: .*set`));
    await ensureTopics(kafka, [made]);
  });

  test('says which topic it can not make', async () => {
    const impossible = { ...spec(1), replicationFactor: 5 };
    await expect(ensureTopics(kafka, [impossible])).rejects.toThrow(impossible.topic);
  });
});

describe('what is known of a log', () => {
  test('a group that has committed nothing has no offsets, and the cluster names itself the same each time', async () => {
    const { topic } = spec(2);
    await ensureTopics(kafka, [{ ...spec(2), topic }]);
    expect(await withAdmin(kafka, (admin) => committed(admin, `group.${topic}`, topic))).toEqual(new Map());
    const id = await clusterId(kafka);
    expect(id).toMatch(/\S{10,}/);
    expect(await clusterId(kafka)).toBe(id);
  });
});
