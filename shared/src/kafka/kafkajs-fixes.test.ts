import { createRequire } from 'node:module';
import { beforeAll, describe, expect, it } from 'vitest';
import { fixKafkajs } from './kafkajs-fixes.ts';

const require = createRequire(import.meta.url);
const { KafkaJSProtocolError } = require('kafkajs/src/errors.js') as {
  KafkaJSProtocolError: new (error: { type: string; code: number; message: string; retriable: boolean }) => Error;
};
type Group = { joinAndSync(): Promise<void> };
const ConsumerGroup = require('kafkajs/src/consumer/consumerGroup.js') as new (options: object) => Group;
const RETRY = { initialRetryTime: 1, maxRetryTime: 2, retries: 5 };
const LOADING = { type: 'GROUP_LOAD_IN_PROGRESS', code: 14, message: 'loading', retriable: true };
const UNAUTHORIZED = { type: 'GROUP_AUTHORIZATION_FAILED', code: 30, message: 'no', retriable: false };
const NOTHING_ASSIGNED = { memberAssignment: Buffer.alloc(0) };

/** kafkajs's own group, with a coordinator that answers so many joins by an error: a real one does it in a moment that can't be met at will. */
function groupOf(errors: ConstructorParameters<typeof KafkaJSProtocolError>[0][]): {
  group: Group;
  joins: () => number;
} {
  let joins = 0;
  const coordinator = {
    async joinGroup() {
      const error = errors[joins++];
      if (error) throw new KafkaJSProtocolError(error);
      return { generationId: 1, leaderId: 'another', memberId: 'me', members: [], groupProtocol: 'x' };
    },
    syncGroup: async () => NOTHING_ASSIGNED,
  };
  const committedOffsets = () => ({});
  const cluster = {
    committedOffsets,
    findGroupCoordinator: async () => coordinator,
    findTopicPartitionMetadata: () => [],
  };
  const silent = { info: () => {}, debug: () => {}, warn: () => {}, error: () => {} };
  const group = new ConsumerGroup({
    ...{ groupId: 'g', topics: [], topicConfigurations: {}, assigners: [], retry: RETRY, cluster },
    ...{ logger: { namespace: () => silent }, instrumentationEmitter: { emit: () => {} } },
  });
  return { group, joins: () => joins };
}

beforeAll(fixKafkajs);

describe('a join', () => {
  it('is asked again while the coordinator loads', async () => {
    const { group, joins } = groupOf([LOADING, LOADING]);
    await group.joinAndSync();
    expect(joins()).toBe(3);
  });

  it('fails at once where it can not succeed, and in the end where the coordinator loads for ever', async () => {
    const refused = groupOf([UNAUTHORIZED]);
    await expect(refused.group.joinAndSync()).rejects.toMatchObject({ type: 'GROUP_AUTHORIZATION_FAILED' });
    expect(refused.joins()).toBe(1);
    const endless = groupOf(Array.from({ length: 20 }, () => LOADING));
    await expect(endless.group.joinAndSync()).rejects.toThrow('loading');
    expect(endless.joins()).toBe(1 + RETRY.retries);
  });
});
