import { describe, expect, test } from 'vitest';
import { readSettings } from '../runtime/settings.ts';
import { incomingTopic, TOPIC_SETTINGS, topicSpecs } from './topics.ts';

const specsWith = (env: Record<string, string>) => topicSpecs(readSettings(TOPIC_SETTINGS, env));

describe('the topics', () => {
  test('each has its partitions; the log of commands is dated by the broker and never elects an unclean leader', () => {
    const specs = specsWith({
      INCOMING_PARTITIONS: '6',
      USER_EVENT_PARTITIONS: '5',
      GATEWAY_SLOTS: '7',
      REPLICATION_FACTOR: '3',
    });
    expect(specs.map(({ topic, partitions }) => [topic, partitions])).toEqual([
      ['incoming_messages', 6],
      ['user_events', 5],
      ['outgoing_messages', 7],
      ['dead_letters', 1],
      ['receipts', 5],
      ['operator_actions', 1],
    ]);
    expect(specs[0]!.config).toMatchObject({ 'message.timestamp.type': 'LogAppendTime' });
    for (const { replicationFactor, config } of specs) {
      expect(replicationFactor).toBe(3);
      expect(config).toMatchObject({ 'min.insync.replicas': '2', 'unclean.leader.election.enable': 'false' });
      expect(Number(config['max.message.bytes'])).toBeGreaterThanOrEqual(1024 * 1024);
    }
  });

  test('one replica is enough where there is but one', () => {
    for (const { config } of specsWith({ REPLICATION_FACTOR: '1' })) expect(config['min.insync.replicas']).toBe('1');
  });

  test("commands are kept for as long as a sender's retry is recognised", () => {
    const days = (count: number) => String(count * 24 * 3600);
    const retention = (env: Record<string, string>) => specsWith(env)[0]!.config['retention.ms'];
    expect(retention({ DEDUPE_SECONDS: days(1) })).toBe(`${days(7)}000`);
    expect(retention({ DEDUPE_SECONDS: days(20) })).toBe(`${days(20)}000`);
  });

  test('a later epoch has a topic of its own', () => {
    expect(incomingTopic(1)).toBe('incoming_messages');
    expect(incomingTopic(3)).toBe('incoming_messages.3');
    expect(specsWith({ INCOMING_EPOCH: '3' })[0]!.topic).toBe('incoming_messages.3');
  });
});
