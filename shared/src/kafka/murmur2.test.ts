import fc from 'fast-check';
import { Partitioners } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { murmur2, partitionOfKey } from './murmur2.ts';

describe('the partition of a key', () => {
  test("murmur2 gives the values of Kafka's own test", () => {
    const cases: [string, number][] = [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
      ['abc', 479470107],
    ];
    for (const [key, hash] of cases) expect(murmur2(Buffer.from(key))).toBe(hash);
  });

  test("is the one that kafkajs's default partitioner chooses, for any key and number of partitions", () => {
    const partitioner = Partitioners.DefaultPartitioner();
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.integer({ min: 1, max: 200 }), (key, count) => {
        const partitionMetadata = Array.from({ length: count }, (_, partitionId) => ({
          partitionId,
          partitionErrorCode: 0,
          leader: 1,
          replicas: [1],
          isr: [1],
        }));
        expect(partitionOfKey(key, count)).toBe(
          partitioner({ topic: 'any', partitionMetadata, message: { key, value: '' } }),
        );
      }),
    );
  });
});
