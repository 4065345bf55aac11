import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entryAt, InboxRig, inboxEntry, positions } from './test-inbox.ts';

const rig = new InboxRig();
const wide = new InboxRig({ windowEntries: 2000, maxBytes: 50_000_000, maxEntries: 5000 });
const small = new InboxRig({ maxEntries: 5 });

beforeAll(() => Promise.all([rig.ready(), wide.ready(), small.ready()]));
afterAll(() => Promise.all([rig.close(), wide.close(), small.close()]));

const page = async (reply: Promise<{ is: string }>) => {
  const got = await reply;
  if (got.is !== 'page') throw new Error(`expected a page, got ${JSON.stringify(got)}`);
  return (got as Extract<Awaited<ReturnType<InboxRig['replay']>>, { is: 'page' }>).page;
};
const numbers = (entries: string[]) => entries.map((entry) => (JSON.parse(entry) as { position: number }).position);

describe('replay', () => {
  it('releases from the cursor on what the window takes; the session is live where that is all', async () => {
    await rig.whole();
    await rig.enqueue(positions(1, 12));
    await rig.connect('d1');
    const first = await page(rig.replay('c-d1'));
    expect(first).toMatchObject({ conn: 'c-d1', slot: 1, firstSeq: 1, live: false, high: 0, tail: 12, gap: undefined });
    expect(numbers(first.entries)).toEqual(positions(1, 10));
  });

  it('is drained at once where nothing is owed', async () => {
    await rig.whole();
    await rig.connect('d1');
    expect(await rig.replay('c-d1')).toMatchObject({ acked: 0, page: { live: true, entries: [], tail: 0 } });
  });

  it('asked again goes on from what was released on the connection; anew, from the cursor', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([1, 2]);
    expect(await page(rig.replay('c-d1'))).toMatchObject({ firstSeq: 3, entries: [], live: true });
    await rig.ack('d1', gen, 1, 1);
    expect(await page(rig.replay('c-d1', true))).toMatchObject({ firstSeq: 2, live: true, high: 0 });
    expect(numbers((await page(rig.replay('c-d1', true))).entries)).toEqual([2]);
  });

  it('knows no connection that is not there', async () => {
    await rig.wholeWith('d1');
    expect(await rig.replay('other')).toEqual({ is: 'gone' });
  });

  it('gives up a connection whose device the last rebuild has missed: the next one makes it', async () => {
    await rig.wholeWith('d1');
    await rig.store.client.hset(rig.keys().meta, 'devices', '');
    expect(await rig.replay('c-d1')).toEqual({ is: 'no-device', slot: 1 });
    expect(await rig.replay('c-d1', true)).toEqual({ is: 'no-device', slot: 1 });
  });

  it('asks for a rebuild where the inbox is lost, in part or as a whole', async () => {
    await rig.wholeWith('d1');
    await rig.store.client.del(rig.keys().meta);
    expect(await rig.replay('c-d1')).toEqual({ is: 'partial' });
    await rig.wholeWith('d1');
    await rig.enqueue([1, 2]);
    await rig.store.client.lpop(rig.keys().list);
    expect(await rig.replay('c-d1')).toEqual({ is: 'partial' });
  });

  it('bounds a page by entries and by bytes, and never stops for good', async () => {
    await wide.whole();
    await wide.enqueue(positions(1, 600));
    await wide.connect('d1');
    expect((await page(wide.replay('c-d1'))).entries).toHaveLength(512);
    expect((await page(wide.replay('c-d1'))).entries).toHaveLength(88);

    await wide.whole();
    const large = (position: number, bytes: number) =>
      inboxEntry(position, { entry: entryAt(position, { body: 'x'.repeat(bytes) }) });
    await wide.enqueue([large(1, 300_000), large(2, 200_000), large(3, 50_000), large(4, 50_000)]);
    await wide.connect('d1');
    const pages: number[][] = [];
    for (let live = false; !live; ) {
      const got = await page(wide.replay('c-d1'));
      pages.push(numbers(got.entries));
      live = got.live;
    }
    expect(pages).toEqual([[1], [2, 3], [4]]);
  });

  it('shows an entry whose own ttl ran out as a gap in its place', async () => {
    await rig.whole();
    await rig.enqueue([1, inboxEntry(2, { expiresAtMs: Date.now() - 1 }), inboxEntry(3, { expiresAtMs: 9e12 })]);
    await rig.connect('d1');
    const { entries, gap } = await page(rig.replay('c-d1'));
    expect(gap).toBeUndefined();
    expect(JSON.parse(entries[1]!)).toEqual({
      t: 'gap',
      position: 2,
      conversation: 'dm:alice:bob',
      from: 2,
      to: 2,
      count: 1,
      reason: 'expired',
      conversations: ['dm:alice:bob'],
    });
    expect(numbers(entries)).toEqual([1, 2, 3]);
  });

  it('says of what other devices made the list drop that the device was away for too long', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.disconnect('c-d2');
    await rig.unseen('d2', 3700);
    await rig.enqueue([1, 2, 3]);
    await rig.ack('d1', gen, 2, 2);
    await rig.connect('d2');
    const { gap, firstSeq } = await page(rig.replay('c-d2'));
    expect(gap).toMatchObject({ from: 1, to: 2 });
    expect(JSON.parse(gap!.entry)).toMatchObject({ reason: 'device-expired', count: 2 });
    expect(firstSeq).toBe(3);
  });
});

describe('refill', () => {
  it('goes on from what was written, whatever was released', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue(positions(1, 5));
    const { firstSeq, entries, live, tail } = await page(rig.refill('c-d1', gen, 3));
    expect({ firstSeq, live, tail, got: numbers(entries) }).toEqual({
      firstSeq: 3,
      live: true,
      tail: 5,
      got: [3, 4, 5],
    });
    expect((await rig.enqueue([6])).live).toMatchObject([{ fromSeq: 6 }]);
  });

  it('makes a live session drain where less than the window is left, so that nothing falls between', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue(positions(1, 10));
    await rig.enqueue([11]);
    const refilled = await page(rig.refill('c-d1', gen, 1));
    expect(refilled).toMatchObject({ firstSeq: 1, live: false });
    expect(refilled.entries).toHaveLength(10);
    expect((await rig.enqueue([12])).live).toEqual([]);
  });

  it('closes what waits for entries that the list no longer has', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([1, 2, 3]);
    for (const device of ['d1', 'd2']) await rig.ack(device, gen, 2, 2);
    expect(await rig.refill('c-d1', gen, 1)).toEqual({ is: 'close', slot: 1 });
    expect(await page(rig.refill('c-d1', gen, 3))).toMatchObject({ firstSeq: 3 });
  });

  it('shows an overflow as a gap on a connection that has begun', async () => {
    const gen = await small.wholeWith('d1');
    await small.enqueue([1, 2, 3]);
    await small.enqueue(positions(4, 8));
    const refilled = await page(small.refill('c-d1', gen, 2));
    expect(refilled).toMatchObject({ gap: { from: 2, to: 3 }, firstSeq: 4, live: true });
    expect(numbers(refilled.entries)).toEqual([4, 5, 6, 7, 8]);
  });

  it('knows another generation, an absent session and a lost inbox', async () => {
    const gen = await rig.wholeWith('d1');
    expect(await rig.refill('c-d1', gen + 1, 1)).toEqual({ is: 'reset' });
    expect(await rig.refill('other', gen, 1)).toEqual({ is: 'gone' });
    await rig.store.client.hset(rig.keys().meta, 'store', 'another');
    expect(await rig.refill('c-d1', gen, 1)).toEqual({ is: 'partial' });
  });
});
