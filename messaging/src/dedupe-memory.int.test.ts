import { positionOf } from '@restante/shared/contract/ids';
import { turnKeys } from '@restante/shared/inbox/claim-keys';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { testKafka, testLogger, testTopic } from '@restante/shared/kafka/test-topic';
import type { RedisStore } from '@restante/shared/runtime/redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimOf, DedupeMemory } from './dedupe-memory.ts';
import { EPOCH, MessagingRig, newName, sendOf, TestPartition } from './test-messaging.ts';

const owner = new MessagingRig();
const { store } = owner.rig;
beforeAll(() => owner.start());
afterAll(() => owner.stop());

/** Redis, which is emptied of what a partition has claimed when that is about to be marked as whole, once. */
function emptiedInBetween(keys: string[]): RedisStore {
  let left = 1;
  return {
    nodeTags: () => store.nodeTags(),
    run: async (calls: Parameters<RedisStore['run']>[0]) => {
      if (calls.some(({ script, args }) => script === 'inbox:claims-mark' && args[0] !== '') && left-- > 0)
        await store.client.del(keys);
      return store.run(calls);
    },
  } as unknown as RedisStore;
}

describe('the claims of a partition', () => {
  it('are made again until nothing was lost meanwhile, though Redis is the same after it was emptied', async () => {
    const topic = await testTopic(testKafka(), 2);
    const producer = new BatchingProducer({ kafka: testKafka(), logger: testLogger, topics: [topic] });
    await producer.start();
    const send = sendOf(newName('bob'), newName('alice'));
    await producer.send(topic, 1, null, JSON.stringify(send));
    await producer.stop();
    // Of its own: other tests keep their marks by the number 0, or from 100 on.
    const log = new TestPartition(1);
    const [earlier, later] = log.batch([send, send]).records;
    const mark = 'claims:1:{0}';
    await store.client.del(mark);
    const memory = new DedupeMemory({
      ...{ kafka: testKafka(), topic, epoch: EPOCH, seconds: 600, rereadSeconds: 3600, logger: testLogger },
      conversations: owner.context.conversations,
      redis: emptiedInBetween([mark, ...turnKeys(send.from)]),
    });
    const batch = { ...log.batch([]), topic, records: [later!] };
    const [held] = await memory.claim(batch, [claimOf(send, positionOf(EPOCH, later!.offset))]);
    expect(held!.position).toBe(positionOf(EPOCH, earlier!.offset));
    await store.client.del(mark);
  });
});
