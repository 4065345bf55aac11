import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rebuildKey } from './scripts.ts';
import { entryAt, InboxRig } from './test-inbox.ts';

const rig = new InboxRig();
beforeAll(() => rig.ready());
afterAll(() => rig.close());

const staged = (...at: number[]) => at.map((position) => `${Date.now()},0,0,${entryAt(position)}`);
const device = (name: string, cursor: number, high = cursor) => `${name},${cursor},${Date.now()},${high},;`;
const begin = async (token?: string) => {
  const begun = await rig.rebuildBegin(token);
  if (typeof begun === 'string') throw new Error(begun);
  return begun;
};
/** The inbox has lost its store's trust, as after a failover. */
const lose = () => rig.store.client.hset(rig.keys().meta, 'store', 'another');

describe('rebuild-begin', () => {
  it('finds nothing to do in a whole inbox', async () => {
    await rig.whole();
    expect(await rig.rebuildBegin()).toBe('whole');
    expect(await rig.store.client.exists(rebuildKey(rig.user))).toBe(0);
  });

  it('makes a partial inbox where there is none, so that what comes meanwhile is kept', async () => {
    rig.newUser();
    const begun = await begin();
    expect(begun).toMatchObject({ base: '0', acked: [] });
    expect(await rig.enqueue([1])).toMatchObject({ gen: Number(begun.gen), partial: true, tail: 1 });
  });

  it('gives one token at a time, for a while', async () => {
    rig.newUser();
    await begin('mine');
    expect(await rig.rebuildBegin('theirs')).toBe('busy');
    expect(await rig.rebuildBegin('mine')).toMatchObject({ base: '0' });
    expect(await rig.store.client.pttl(rebuildKey(rig.user))).toBeGreaterThan(30_000);
    await rig.store.client.del(rebuildKey(rig.user));
    expect(await rig.rebuildBegin('theirs')).toMatchObject({ base: '0' });
  });

  it('gives the marks of what was acked, were they ten thousand', async () => {
    await rig.wholeWith('d1');
    const { acked } = rig.keys();
    const marks = Array.from({ length: 10_000 }, (_, i) => [`d1#dm:alice:user${i}`, String(i)]);
    await rig.store.client.hset(acked, ...marks.flat());
    await lose();
    const begun = await begin();
    expect(begun.acked).toHaveLength(20_000);
    const first = begun.acked.indexOf('d1#dm:alice:user7');
    expect(begun.acked[first + 1]).toBe('7');
  });
});

describe('rebuild-swap', () => {
  beforeEach(async () => {
    await rig.whole();
    await rig.enqueue([10, 20]);
    await lose();
    await rig.enqueue([30, 40]);
  });

  it('keeps of what was enqueued meanwhile what lies from the cut on, and takes the rest from the history', async () => {
    const begun = await begin();
    await rig.enqueue([50]);
    const swapped = await rig.rebuildSwap(begun, { staged: staged(10, 20, 30), cut: { 0: 40 } });
    expect(swapped).toEqual({ tail: 5, connections: [] });
    expect(await rig.listed()).toEqual([10, 20, 30, 40, 50]);
    const meta = await rig.meta();
    expect(meta).toMatchObject({ base: '0', tail: '5', partial: '0', over: '0', aged: '0', p0: '50' });
    expect(meta.gen).not.toBe(begun.gen);
    expect((await rig.dueCheck()).is).toBe('whole');
    const elements = await rig.store.client.lrange(rig.keys().list, 0, -1);
    expect(meta.bytes).toBe(String(Buffer.byteLength(elements.join(''))));
  });

  it('counts what lies below the cut as given, so that no replay puts it in again', async () => {
    const begun = await begin();
    await rig.rebuildSwap(begun, { staged: staged(10), cut: { 0: 100, 1: 7 } });
    expect(await rig.meta()).toMatchObject({ p0: '99', p1: '6' });
    expect(await rig.enqueue([40, 99, 100], 0)).toMatchObject({ added: [false, false, true] });
    expect(await rig.enqueue([6, 7], 1)).toMatchObject({ added: [false, true] });
  });

  it('never takes a last position back', async () => {
    const begun = await begin();
    await rig.rebuildSwap(begun, { cut: { 0: 35 } });
    expect(await rig.meta()).toMatchObject({ p0: '40', tail: '1' });
    expect(await rig.listed()).toEqual([40]);
  });

  it('shows what did not fit as one gap', async () => {
    const begun = await begin();
    const devices = device('d1', 0) + device('d2', 3);
    const conversations = 'dm:alice:bob\ndm:alice:carol\n';
    await rig.rebuildSwap(begun, { staged: staged(20), cut: { 0: 100 }, missing: 3, conversations, devices });
    expect(await rig.meta()).toMatchObject({ base: '3', tail: '4', over: '3' });
    const synced = await rig.sync('d1');
    if (synced.is !== 'page') throw new Error(synced.is);
    expect(JSON.parse(synced.page.gap!.entry)).toMatchObject({
      from: 1,
      to: 3,
      reason: 'overflow',
      conversations: ['dm:alice:bob', 'dm:alice:carol'],
    });
    expect(await rig.sync('d2')).toMatchObject({ page: { gap: undefined, firstSeq: 4 } });
  });

  it('puts every session back to draining, and names it', async () => {
    await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10]);
    await lose();
    const begun = await begin();
    const swapped = await rig.rebuildSwap(begun, { staged: staged(10), cut: { 0: 11 }, devices: device('d1', 0, 1) });
    expect(swapped).toMatchObject({ tail: 1 });
    expect(swapped !== 'again' && swapped.connections.sort()).toEqual(['c-d1', 'c-d2']);
    expect((await rig.enqueue([11])).live).toEqual([]);
    expect(await rig.replay('c-d1', true)).toMatchObject({
      acked: 0,
      page: { firstSeq: 1, high: 1, tail: 2, live: true },
    });
    expect(await rig.replay('c-d2', true)).toEqual({ is: 'no-device', slot: 1 });
  });

  it('is not done without a device that connected meanwhile, where all connected are asked for', async () => {
    await rig.wholeWith('d1', 'd10');
    await rig.enqueue([10]);
    await lose();
    const begun = await begin();
    const withAllConnected = true;
    expect(await rig.rebuildSwap(begun, { devices: device('d10', 0, 1), withAllConnected })).toBe('again');
    const both = device('d10', 0, 1) + device('d1', 0, 1);
    expect(await rig.rebuildSwap(begun, { devices: both, withAllConnected })).toMatchObject({ tail: 1 });
    expect(await rig.replay('c-d1', true)).toMatchObject({ is: 'page' });
  });

  it('leaves nothing behind: the token is free, the staged list gone', async () => {
    const begun = await begin();
    await rig.rebuildSwap(begun, { staged: staged(10), cut: { 0: 11 } });
    expect(await rig.store.client.exists(rebuildKey(rig.user), `inbox:{${rig.user}}:staged:token`)).toBe(0);
    expect(await rig.rebuildSwap(begun)).toBe('again');
  });

  it('keeps 1,000 entries that came meanwhile', async () => {
    const begun = await begin();
    const many = Array.from({ length: 900 }, (_, i) => 1000 + i);
    await rig.enqueue(many);
    await rig.rebuildSwap(begun, { staged: staged(10), cut: { 0: 1000 } });
    expect(await rig.listed()).toEqual([10, ...many]);
  });

  describe('starts over', () => {
    it('where another holds the token, or nobody', async () => {
      const begun = await begin('mine');
      expect(await rig.rebuildSwap(begun, { token: 'theirs', cut: { 0: 100 } })).toBe('again');
      await rig.store.client.del(rebuildKey(rig.user));
      expect(await rig.rebuildSwap(begun, { token: 'mine', cut: { 0: 100 } })).toBe('again');
    });

    it('where the inbox was lost again, and made anew', async () => {
      const begun = await begin();
      const { meta, list } = rig.keys();
      await rig.store.client.del(meta, list);
      expect(await rig.rebuildSwap(begun, { cut: { 0: 100 } })).toBe('again');
      await rig.enqueue([50]);
      expect(await rig.rebuildSwap(begun, { cut: { 0: 100 } })).toBe('again');
      expect(await rig.listed()).toEqual([50]);
    });

    it('where the cap has trimmed what came meanwhile', async () => {
      const tight = new InboxRig({ maxEntries: 4 });
      await tight.ready();
      tight.user = rig.user;
      const begun = await begin();
      await tight.enqueue([50]);
      await tight.close();
      expect(await rig.rebuildSwap(begun, { cut: { 0: 100 } })).toBe('again');
    });

    it('where the store is another than at the beginning', async () => {
      const begun = await begin();
      expect(await rig.rebuildSwap({ ...begun, store: 'another' }, { cut: { 0: 100 } })).toBe('again');
      expect(await rig.listed()).toEqual([10, 20, 30, 40]);
      expect(await rig.rebuildSwap(begun, { cut: { 0: 100 } })).not.toBe('again');
    });
  });
});
