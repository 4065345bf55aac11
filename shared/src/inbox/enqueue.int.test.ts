import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { entryAt, InboxRig, inboxEntry, positions } from './test-inbox.ts';

const rig = new InboxRig();
const small = new InboxRig({ maxEntries: 5, maxBytes: 100_000, windowEntries: 4 });

beforeAll(() => Promise.all([rig.ready(), small.ready()]));
afterAll(() => Promise.all([rig.close(), small.close()]));

describe('once, however often it is replayed', () => {
  beforeEach(() => rig.whole());

  it('skips positions that the partition has given before, whichever batches they come in', async () => {
    expect(await rig.enqueue([10, 20])).toMatchObject({ before: 0, tail: 2, added: [true, true] });
    expect(await rig.enqueue([10, 20])).toMatchObject({ before: 2, tail: 2, added: [false, false] });
    expect(await rig.enqueue([20, 30])).toMatchObject({ before: 2, tail: 3, added: [false, true] });
    expect(await rig.listed()).toEqual([10, 20, 30]);
  });

  it('keeps the last position of each partition by itself', async () => {
    await rig.enqueue([100], 0);
    expect(await rig.enqueue([50], 1)).toMatchObject({ tail: 2, added: [true] });
    expect(await rig.enqueue([100], 1)).toMatchObject({ tail: 3, added: [true] });
    expect(await rig.enqueue([100, 101], 0)).toMatchObject({ tail: 4, added: [false, true] });
    expect(await rig.listed()).toEqual([100, 50, 100, 101]);
  });

  it('tells positions beyond 2^49 apart', async () => {
    const last = 2 ** 52 + 1;
    await rig.enqueue([last]);
    expect(await rig.enqueue([last, last + 1])).toMatchObject({ added: [false, true] });
    expect((await rig.meta()).p0).toBe(String(last + 1));
  });

  it('takes a batch once where two owners of a partition put it in at once, with other batches between', async () => {
    const batch = positions(1, 30);
    const owners = Array.from({ length: 4 }, () =>
      Promise.all([rig.enqueue(batch, 0), rig.enqueue(batch.slice(5), 1)]),
    );
    await Promise.all(owners);
    const once = [...positions(1, 30), ...positions(6, 30)];
    expect((await rig.listed()).sort((a, b) => a - b)).toEqual(once.sort((a, b) => a - b));
    expect(await rig.meta()).toMatchObject({ base: '0', tail: '55', p0: '30', p1: '30' });
  });

  it('puts 3,000 entries in by one call', async () => {
    const many = new InboxRig({ maxEntries: 10_000 });
    await many.ready();
    await many.whole();
    expect(await many.enqueue(positions(1, 3000))).toMatchObject({ before: 0, tail: 3000 });
    expect(await many.listed()).toEqual(positions(1, 3000));
    await many.close();
  });
});

describe('hints for live sessions', () => {
  it('go to every live session, with what was added and nothing else', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([1, 2]);
    const reply = await rig.enqueue([2, 3]);
    expect(reply).toMatchObject({ gen, before: 2, tail: 3, sessionCount: 2 });
    const hint = { slot: 1, lease: 'lease', fromSeq: 3, toSeq: 3 };
    expect(reply.live.sort((a, b) => a.conn.localeCompare(b.conn))).toEqual([
      { conn: 'c-d1', ...hint },
      { conn: 'c-d2', ...hint },
    ]);
  });

  it('are none where nothing was added', async () => {
    await rig.wholeWith('d1');
    await rig.enqueue([1]);
    expect(await rig.enqueue([1])).toMatchObject({ sessionCount: 1, live: [] });
  });

  it('end where the window does: the session drains from there on', async () => {
    const gen = await rig.wholeWith('d1');
    expect((await rig.enqueue(positions(1, 14))).live).toEqual([
      { conn: 'c-d1', slot: 1, lease: 'lease', fromSeq: 1, toSeq: 10 },
    ]);
    expect((await rig.enqueue([15])).live).toEqual([]);
    const acked = await rig.ack('d1', gen, 10, 10);
    expect(acked).toMatchObject({ is: 'ok', page: { firstSeq: 11, live: true } });
    expect((await rig.enqueue([16])).live).toMatchObject([{ fromSeq: 16, toSeq: 16 }]);
  });

  it('are none for a session that still drains', async () => {
    await rig.whole();
    await rig.connect('d1');
    expect(await rig.enqueue([1])).toMatchObject({ sessionCount: 1, live: [] });
  });

  it('are none from a partial inbox, whose seqs mean nothing yet', async () => {
    await rig.wholeWith('d1');
    await rig.store.client.hset(rig.keys().meta, 'store', 'another');
    expect(await rig.enqueue([1])).toMatchObject({ partial: true, sessionCount: 1, live: [] });
    expect(await rig.meta()).toMatchObject({ partial: '1' });
  });

  it('are none, and the inbox partial, where there was none', async () => {
    rig.newUser();
    expect(await rig.enqueue([1])).toMatchObject({ partial: true, before: 0, tail: 1, sessionCount: 0 });
    expect((await rig.dueCheck()).is).toBe('partial');
  });
});

describe("the sender's own copies", () => {
  const own = (position: number) => inboxEntry(position, { own: true });

  it('are left out with one active device', async () => {
    await rig.wholeWith('d1');
    expect(await rig.enqueue([own(1), 2, own(3)])).toMatchObject({ tail: 1, added: [false, true, false] });
    expect(await rig.listed()).toEqual([2]);
  });

  it('that were left out stay so: the second device begins behind them, and no replay brings them to it', async () => {
    await rig.wholeWith('d1');
    expect(await rig.enqueue([own(5)], 2)).toMatchObject({ kept: false });
    expect(await rig.connect('d2', 'c-d2', { row: '' })).toMatchObject({ start: 'after 2:6' });
    expect(await rig.enqueue([own(5), own(7)], 2)).toMatchObject({ added: [false, true] });
    expect(await rig.listed()).toEqual([7]);
  });

  it('alone make no inbox: a rebuild finds them in the history', async () => {
    rig.newUser();
    expect(await rig.enqueue([own(1)])).toMatchObject({ kept: false });
    expect(await rig.dueCheck()).toEqual({ is: 'none' });
    await rig.enqueue([2]);
    expect(await rig.enqueue([own(3)])).toMatchObject({ kept: true, partial: true, added: [true] });
  });

  it('are put in with two', async () => {
    await rig.wholeWith('d1', 'd2');
    expect(await rig.enqueue([own(1), 2])).toMatchObject({ tail: 2, added: [true, true] });
  });

  it('are left out where the second device is long unseen', async () => {
    await rig.wholeWith('d1', 'd2');
    await rig.disconnect('c-d2');
    await rig.unseen('d2', 7200);
    expect(await rig.enqueue([own(1)])).toMatchObject({ kept: false });
    expect(await rig.listed()).toEqual([]);
  });
});

describe('the caps', () => {
  beforeEach(() => small.whole());
  const body = 'x'.repeat(20_000);

  it('of entries trims the oldest, which become one gap that names their conversations', async () => {
    const gen = await small.wholeWith('d1');
    await small.enqueue([1, inboxEntry(2, { entry: entryAt(2, { from: 'carol' }) }), 3, 4]);
    await small.enqueue([5, 6, 7]);
    expect(await small.listed()).toEqual([3, 4, 5, 6, 7]);
    await small.disconnect('c-d1');
    await small.connect('d1');
    const replayed = await small.replay('c-d1');
    expect(replayed).toMatchObject({ acked: 0, page: { gap: { from: 1, to: 2 }, firstSeq: 3 } });
    if (replayed.is !== 'page') return;
    expect(JSON.parse(replayed.page.gap!.entry)).toEqual({
      t: 'gap',
      from: 1,
      to: 2,
      count: 2,
      reason: 'overflow',
      conversations: ['dm:alice:bob', 'dm:alice:carol'],
    });
    expect(await small.ack('d1', gen, 2, 0)).toMatchObject({ is: 'ok', acked: 2 });
  });

  it('of bytes trims as many as it takes', async () => {
    await small.enqueue([1, 2, 3, 4].map((position) => inboxEntry(position, { entry: entryAt(position, { body }) })));
    const meta = await small.meta();
    await small.enqueue([5].map((position) => inboxEntry(position, { entry: entryAt(position, { body }) })));
    expect(await small.listed()).toEqual([2, 3, 4, 5]);
    expect(await small.meta()).toMatchObject({ base: '1', tail: '5', over: '1', bytes: meta.bytes });
  });

  it('keeps at least the newest entry, were it larger than all', async () => {
    await small.enqueue([1]);
    await small.enqueue([inboxEntry(2, { entry: entryAt(2, { body: 'x'.repeat(200_000) }) })]);
    expect(await small.listed()).toEqual([2]);
  });

  it('names in a gap at most 100 conversations, and none that every device has passed', async () => {
    const gen = await small.wholeWith('d1');
    const from = (position: number, name: string) =>
      inboxEntry(position, { entry: entryAt(position, { from: `${name}${position}` }) });
    for (let position = 1; position <= 110; position++) await small.enqueue([from(position, 'early')]);
    const names = async () => (await small.meta()).overconv!.trim().split('\n');
    expect(await names()).toHaveLength(100);
    await small.ack('d1', gen, 110, 110);
    for (let position = 111; position <= 117; position++) await small.enqueue([from(position, 'late')]);
    expect(await names()).toEqual(['dm:alice:late111', 'dm:alice:late112']);
  });

  it('trims nothing, and loses no count, when a replayed batch finds a lower cap', async () => {
    await small.enqueue([1, 2, 3, 4, 5]);
    const tighter = new InboxRig({ maxEntries: 2 });
    await tighter.ready();
    tighter.user = small.user;
    await tighter.enqueue([5]);
    const check = await tighter.dueCheck();
    await tighter.close();
    expect(check).toMatchObject({ is: 'whole', tail: 5 });
    expect(await small.listed()).toEqual([4, 5]);
  });
});

describe('age', () => {
  beforeEach(() => rig.whole());

  it('lets all keys of an inbox expire one retention after its last entry', async () => {
    await rig.enqueue([1]);
    const { list, meta } = rig.keys();
    await rig.store.client.pexpire(list, 5000);
    await rig.store.client.pexpire(meta, 5000);
    await rig.enqueue([2]);
    for (const key of [list, meta]) expect(await rig.store.client.pttl(key)).toBeGreaterThan(3_500_000);
  });

  it('trims what was in the list for longer than the retention, however new the rest is', async () => {
    await rig.enqueue([1, 2, 3]);
    await rig.age(2, 3601);
    await rig.enqueue([4]);
    expect(await rig.listed()).toEqual([3, 4]);
    expect(await rig.meta()).toMatchObject({ base: '2', tail: '4', aged: '2' });
  });

  it('keeps the count right when a batch that is replayed finds an aged head', async () => {
    await rig.enqueue([1, 2, 3]);
    await rig.age(1, 3601);
    await rig.enqueue([3]);
    expect(await rig.meta()).toMatchObject({ base: '1', aged: '1', partial: '0' });
    expect((await rig.dueCheck()).is).toBe('whole');
  });
});
