import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entryAt, InboxRig, inboxEntry, positions } from './test-inbox.ts';

const rig = new InboxRig();
const wide = new InboxRig({ maxEntries: 5000, windowEntries: 5000 });
beforeAll(() => Promise.all([rig.ready(), wide.ready()]));
afterAll(() => Promise.all([rig.close(), wide.close()]));

const idOf = (position: number, from = 'bob') => ({
  from,
  id: (JSON.parse(entryAt(position, { from })) as { id: string }).id,
});
const shownTo = async (device: string) => {
  const synced = await rig.sync(device);
  if (synced.is !== 'page') throw new Error(synced.is);
  return synced.page.entries.map((entry) => {
    const { t, position } = JSON.parse(entry) as { t: string; position: number };
    return `${t} ${position}`;
  });
};

describe('nack', () => {
  it('only reads until it is told to mark', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    expect(await rig.nack('d1', gen, 1, 10, false)).toEqual({ is: 'entry', entry: entryAt(10) });
    expect(await shownTo('d1')).toEqual(['message 10', 'message 20']);
  });

  it('puts a gap in the place of the entry, for that device alone', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10, 20, 30]);
    expect(await rig.nack('d1', gen, 2, 20, true)).toMatchObject({ is: 'ok', acked: 0 });
    expect(await shownTo('d1')).toEqual(['message 10', 'gap 20', 'message 30']);
    expect(await shownTo('d2')).toEqual(['message 10', 'message 20', 'message 30']);
    const synced = await rig.sync('d1');
    expect(JSON.parse((synced as { page: { entries: string[] } }).page.entries[1]!)).toMatchObject({
      from: 2,
      to: 2,
      reason: 'dead-lettered',
      conversations: ['dm:alice:bob'],
    });
  });

  it('counts as an ack: the cursor passes it when it comes there', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20, 30]);
    await rig.nack('d1', gen, 2, 20, true);
    expect(await rig.ack('d1', gen, 1, 10)).toMatchObject({ acked: 2 });
    expect(await rig.listed()).toEqual([30]);
    expect(await rig.nack('d1', gen, 3, 30, true)).toMatchObject({ is: 'ok', acked: 3, tail: 3 });
    expect(await rig.listed()).toEqual([]);
    expect(await rig.inbox.ackedMarks(rig.user)).toEqual({ 'd1#dm:alice:bob': '30' });
  });

  it('releases the next page where the cursor moved', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue(positions(1, 12));
    expect(await rig.nack('d1', gen, 1, 1, true)).toMatchObject({ acked: 1, page: { firstSeq: 11, live: false } });
  });

  it('is refused where the seq is acked, was never sent, or had another position; repeated, it changes nothing', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    await rig.ack('d1', gen, 1, 10);
    for (const [seq, position] of [
      [1, 10],
      [3, 30],
      [2, 10],
    ] as const) {
      expect(await rig.nack('d1', gen, seq, position, true)).toEqual({ is: 'refused' });
    }
    expect(await rig.nack('d1', gen + 1, 2, 20, true)).toEqual({ is: 'reset' });
    await rig.nack('d1', gen, 2, 20, true);
    expect(await rig.nack('d1', gen, 2, 20, true)).toEqual({ is: 'refused' });
  });
});

describe('ack-ids', () => {
  it('remembers ids beyond a hole, which count once it closes', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20, 30, 40]);
    expect(await rig.ackIds('d1', [idOf(30), idOf(20)])).toEqual({ is: 'ok', gen, acked: 0 });
    expect(await rig.ackIds('d1', [idOf(10)])).toMatchObject({ acked: 3 });
    expect(await rig.listed()).toEqual([40]);
    expect(await rig.inbox.ackedMarks(rig.user)).toEqual({ 'd1#dm:alice:bob': '30' });
  });

  it('closes a hole also by a cumulative ack', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20, 30]);
    await rig.ackIds('d1', [idOf(20)]);
    expect(await rig.ack('d1', gen, 1, 10)).toMatchObject({ acked: 2 });
  });

  it('passes a gap that the device was shown, for it has no id', async () => {
    const small = new InboxRig({ maxEntries: 2 });
    await small.ready();
    await small.wholeWith('d1');
    await small.disconnect('c-d1');
    for (const position of [10, 20, 30, 40]) await small.enqueue([position]);
    expect(await small.ackIds('d1', [idOf(30)])).toMatchObject({ acked: 0 });
    expect(await small.sync('d1')).toMatchObject({ page: { gap: { from: 1, to: 2 } } });
    expect(await small.ackIds('d1', [idOf(30)])).toMatchObject({ acked: 3 });
    await small.close();
  });

  it('tells senders apart who chose the same id', async () => {
    await rig.wholeWith('d1');
    await rig.enqueue([inboxEntry(10, { entry: entryAt(10, { from: 'carol' }) }), 20]);
    expect(await rig.ackIds('d1', [idOf(10, 'bob')])).toMatchObject({ acked: 0 });
    expect(await rig.ackIds('d1', [idOf(10, 'carol')])).toMatchObject({ acked: 1 });
  });

  it('takes unknown, repeated and acked ids for no error', async () => {
    await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    const ids = [idOf(10), idOf(10), { from: 'nobody', id: 'unknown-id' }];
    for (let i = 0; i < 2; i++) expect(await rig.ackIds('d1', ids)).toMatchObject({ is: 'ok', acked: 1 });
    expect(await rig.ackIds('d1', [])).toMatchObject({ acked: 1 });
  });

  it('looks at 1,000 entries from the cursor on', async () => {
    await wide.wholeWith('d1');
    await wide.enqueue(positions(1, 1002));
    await wide.ackIds('d1', [idOf(1000), idOf(1001)]);
    const skips = (await wide.meta()).devices!;
    expect(skips).toContain(' 1000a ');
    expect(skips).not.toContain('1001a');
    expect(
      await wide.ackIds(
        'd1',
        positions(1, 999).map((position) => idOf(position)),
      ),
    ).toMatchObject({ acked: 1000 });
    expect((await wide.meta()).devices).not.toMatch(/\da/);
  });

  it('knows an absent device and a lost inbox', async () => {
    await rig.wholeWith('d1');
    expect(await rig.ackIds('d9', [])).toEqual({ is: 'no-device' });
    await rig.store.client.hset(rig.keys().meta, 'store', 'another');
    expect(await rig.ackIds('d1', [])).toEqual({ is: 'partial' });
  });
});
