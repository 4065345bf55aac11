import type { EachBatchPayload, Offsets } from 'kafkajs';
import { pino } from 'pino';
import { describe, expect, test, vi } from 'vitest';
import type { ConsumerSession } from './consumer-session.ts';
import { Generation, type GenerationOptions } from './generation.ts';

/** A machine that does much else may be slow. */
const WITHIN = { timeout: 20_000 };

/** A generation of one partition whose committed offset is `start`, and what it asked of kafkajs. */
function generationFrom(start: number, options: Partial<GenerationOptions> = {}) {
  const handled: number[] = [];
  const seeks: number[] = [];
  const resolved: string[] = [];
  const commits: string[] = [];
  const session = { seek: (_partition: number, offset: number) => seeks.push(offset), pause: vi.fn(), resume: vi.fn() };
  const onLogReplaced = vi.fn();
  const jumped = vi.fn();
  const generation = new Generation({
    topic: 'topic',
    partitions: [0],
    session: session as unknown as ConsumerSession,
    startOffsets: Promise.resolve(new Map([[0, start]])),
    prepared: Promise.resolve(),
    running: new Map(),
    handle: async ({ records }) => {
      handled.push(...records.map(({ offset }) => offset));
      return { durable: Promise.resolve() };
    },
    maxBatchRecords: 100,
    maxBatchBytes: 1_000_000,
    maxUnfinishedBytes: 1_000_000,
    commitIntervalMs: 1,
    onLogReplaced,
    logger: pino({ level: 'silent' }),
    events: { jumped },
    ...options,
  });
  /** Hands over what kafkajs fetched from `fetchedOffset`: records of the offsets up to `last`. */
  const fetched = (fetchedOffset: number, last: number, payload: Partial<EachBatchPayload> = {}) => {
    const offsets = Array.from({ length: last - fetchedOffset + 1 }, (_, i) => fetchedOffset + i);
    const messages = offsets.map((offset) => ({
      offset: `${offset}`,
      key: null,
      value: Buffer.from('v'),
      timestamp: '0',
      headers: {},
    }));
    const batch = {
      topic: 'topic',
      partition: 0,
      highWatermark: '1000',
      messages,
      fetchedOffset: `${fetchedOffset}`,
      lastOffset: () => `${last}`,
    };
    return generation.take({
      batch,
      heartbeat: async () => {},
      isStale: () => false,
      resolveOffset: (offset: string) => resolved.push(offset),
      commitOffsetsIfNecessary: async (offsets: Offsets | undefined) =>
        void commits.push(offsets!.topics[0]!.partitions[0]!.offset),
      ...payload,
    } as unknown as EachBatchPayload);
  };
  return { generation, fetched, handled, seeks, resolved, commits, session, onLogReplaced, jumped };
}

describe('Generation', () => {
  test('batches that follow one another are taken, resolved, handled and committed', async () => {
    const { fetched, handled, resolved, commits, generation } = generationFrom(5);
    await fetched(5, 7);
    await fetched(8, 8);
    await vi.waitFor(() => expect(commits.at(-1)).toBe('9'), WITHIN);
    expect(handled).toEqual([5, 6, 7, 8]);
    expect(resolved).toEqual(['7', '8']);
    expect(generation.lag()).toEqual(new Map([[0, 991]]));
  });

  test('a batch of an older fetch, from beyond the committed offset, is dropped and the partition sought back: nothing is skipped', async () => {
    const { fetched, handled, seeks, resolved } = generationFrom(50);
    await fetched(100, 110);
    expect(seeks).toEqual([50]);
    expect(resolved).toEqual([]);
    await fetched(50, 60);
    await vi.waitFor(() => expect(handled).toEqual([50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60]), WITHIN);
    expect(resolved).toEqual(['60']);
  });

  test('what was taken already is not taken twice', async () => {
    const { fetched, handled, seeks } = generationFrom(0);
    await fetched(0, 3);
    await fetched(2, 5);
    expect(seeks).toEqual([4]);
    await fetched(4, 5);
    await vi.waitFor(() => expect(handled).toEqual([0, 1, 2, 3, 4, 5]), WITHIN);
  });

  test('where kafkajs can not begin where it should, those records are gone: said so, and gone on', async () => {
    const { fetched, handled, seeks, jumped } = generationFrom(10);
    for (let i = 0; i < 4; i++) await fetched(20, 21);
    expect(seeks).toEqual([10, 10, 10]);
    expect(jumped).toHaveBeenCalledExactlyOnceWith('topic', 0, 10, 20);
    await vi.waitFor(() => expect(handled).toEqual([20, 21]), WITHIN);
  });

  test('a log that begins anew below what was consumed is another log, and nothing of it is handled', async () => {
    const { fetched, handled, onLogReplaced } = generationFrom(10);
    for (let i = 0; i < 4; i++) await fetched(0, 3);
    expect(onLogReplaced).toHaveBeenCalledExactlyOnceWith(0, 10, 0);
    expect(handled).toEqual([]);
  });

  test('discarded or frozen, it takes nothing, and a discarded one commits nothing', async () => {
    const discarded = generationFrom(0, { commitIntervalMs: 3_600_000 });
    await discarded.fetched(0, 3);
    await vi.waitFor(() => expect(discarded.handled).toEqual([0, 1, 2, 3]), WITHIN);
    discarded.generation.discard();
    await discarded.fetched(4, 5);
    expect(discarded.resolved).toEqual(['3']);
    discarded.generation.freeze();
    expect(discarded.commits).toEqual([]);

    const frozen = generationFrom(0);
    frozen.generation.freeze();
    await frozen.fetched(0, 3);
    expect(frozen.resolved).toEqual([]);
  });

  test('frozen before a join, it commits at once what is done', async () => {
    const { generation, fetched, handled, commits } = generationFrom(0, { commitIntervalMs: 3_600_000 });
    await fetched(0, 3);
    await vi.waitFor(() => expect(handled).toEqual([0, 1, 2, 3]), WITHIN);
    await vi.waitFor(() => expect(generation.lag().get(0)).toBe(996), WITHIN);
    expect(commits).toEqual([]);
    generation.freeze();
    expect(commits).toEqual(['4']);
  });

  test('a partition over its bound is paused, and resumed once there is room', async () => {
    let release = () => {};
    const durable = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { generation, fetched, session } = generationFrom(0, {
      maxUnfinishedBytes: 1000,
      handle: async () => ({ durable }),
    });
    await fetched(0, 20);
    expect(session.pause).toHaveBeenCalledExactlyOnceWith(0);
    expect(session.resume).not.toHaveBeenCalled();
    // Held back by us, it is not stuck.
    expect(generation.behind(new Map([[0, 2000]])).size).toBe(0);
    release();
    await vi.waitFor(() => expect(session.resume).toHaveBeenCalledExactlyOnceWith(0), WITHIN);
    expect(generation.behind(new Map([[0, 2000]]))).toEqual(new Map([[0, 21]]));
  });
});
