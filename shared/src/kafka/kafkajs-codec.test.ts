import { createRequire } from 'node:module';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DecodeBatch, type ProduceOptions, type ProduceRequest, replaceCodec } from './kafkajs-codec.ts';

const require = createRequire(import.meta.url);
const PRODUCE = 'kafkajs/src/protocol/requests/produce/v3/request.js';
const DECODE = 'kafkajs/src/protocol/recordBatch/v0/decoder.js';
/** kafkajs's own, before they are replaced. */
const theirs = { produce: require(PRODUCE) as ProduceRequest, decode: require(DECODE) as DecodeBatch };
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => { buffer: Buffer; offset: number };
replaceCodec();
const ours = { produce: require(PRODUCE) as ProduceRequest, decode: require(DECODE) as DecodeBatch };

const NOW = 1_795_000_000_000;
beforeEach(() => {
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const bytes = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
);
const message = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.dictionary(fc.string({ minLength: 1 }), bytes, { maxKeys: 3 }),
});
const produce = fc.record({
  acks: fc.constantFrom(-1, 1),
  timeout: fc.nat(),
  topicData: fc.array(
    fc.record({
      topic: fc.string({ minLength: 1, maxLength: 40 }),
      partitions: fc.array(
        fc.record({ partition: fc.nat(), messages: fc.array(message, { minLength: 1, maxLength: 70 }) }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});
const written = async (request: ProduceRequest, options: ProduceOptions): Promise<Buffer> => {
  const { buf, offset } = await request(options).encode();
  return Buffer.from(buf.subarray(0, offset));
};
/** What a fetch would be answered with: the batch as the broker keeps it. */
async function stored(
  messages: ProduceOptions['topicData'][0]['partitions'][0]['messages'],
  offset: bigint,
  type: number,
) {
  const options = { acks: -1, timeout: 1, topicData: [{ topic: 't', partitions: [{ partition: 0, messages }] }] };
  const batch = (await written(theirs.produce, options)).subarray(12 + 3 + 4 + 4 + 4);
  batch.writeBigInt64BE(offset);
  batch.writeInt16BE(type, 21);
  return batch;
}

it('takes the place of kafkajs’s', () => {
  expect(ours.produce).not.toBe(theirs.produce);
  expect(ours.decode).not.toBe(theirs.decode);
});

describe('a produce request', () => {
  it('is what kafkajs writes, byte by byte', async () => {
    await fc.assert(
      fc.asyncProperty(produce, async (options) => {
        expect(await written(ours.produce, options)).toEqual(await written(theirs.produce, options));
      }),
    );
  });

  it('of large records too', async () => {
    const value = Buffer.alloc(300_000, 'x');
    const messages = [{ value }, { value: value.toString() }, { key: 'k', value: null }];
    const options = { acks: -1, timeout: 1, topicData: [{ topic: 't', partitions: [{ partition: 0, messages }] }] };
    expect((await written(ours.produce, options)).equals(await written(theirs.produce, options))).toBe(true);
  });

  it.each([
    ['transactional', { transactionalId: 'one' }],
    ['compressed', { compression: 1 }],
    [
      'with a time of its own',
      { topicData: [{ topic: 't', partitions: [{ partition: 0, messages: [{ value: 'v', timestamp: '5' }] }] }] },
    ],
    [
      'with a header of several values',
      {
        topicData: [
          { topic: 't', partitions: [{ partition: 0, messages: [{ value: 'v', headers: { h: ['a', 'b'] } }] }] },
        ],
      },
    ],
  ])('that is %s is left to kafkajs', async (_, options) => {
    const messages = [{ value: 'v' }];
    const all = {
      acks: -1,
      timeout: 1,
      topicData: [{ topic: 't', partitions: [{ partition: 0, messages }] }],
      ...options,
    };
    const request = all as unknown as ProduceOptions;
    expect(await written(ours.produce, request)).toEqual(await written(theirs.produce, request));
  });
});

describe('a batch that was fetched', () => {
  const offsets = fc.bigInt({ min: 0n, max: 2n ** 52n });

  it('is what kafkajs reads, record by record', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { minLength: 1, maxLength: 70 }),
        offsets,
        fc.constantFrom(0, 8),
        async (messages, offset, type) => {
          const batch = await stored(messages, offset, type);
          const [mine, original] = [new Decoder(batch), new Decoder(batch)];
          expect(await ours.decode(mine)).toEqual(await theirs.decode(original));
          expect(mine.offset).toBe(original.offset);
        },
      ),
    );
  });

  it('that is cut off or transactional is left to kafkajs', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 5 }), fc.nat(), async (messages, at) => {
        const whole = await stored(messages, 5n, 0x10);
        expect(await ours.decode(new Decoder(whole))).toEqual(await theirs.decode(new Decoder(whole)));
        const cut = (await stored(messages, 5n, 8)).subarray(0, 61 + (at % (whole.length - 61)));
        await expect(ours.decode(new Decoder(cut))).rejects.toThrow('partial record batch');
      }),
    );
  });

  it('that is broken is refused, or as long as it says', async () => {
    const some = fc.array(message, { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(some, fc.nat(), fc.nat({ max: 255 }), async (messages, at, byte) => {
        const batch = await stored(messages, 5n, 8);
        batch[61 + (at % (batch.length - 61))] = byte;
        const decoded = await ours.decode(new Decoder(batch)).catch((error: Error) => error.message);
        if (typeof decoded === 'string') expect(decoded).toContain('is not as long as it says');
        else expect(decoded.records).toHaveLength(messages.length);
      }),
    );
  });
});
