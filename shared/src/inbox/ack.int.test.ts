import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entryAt, InboxRig, inboxEntry, positions } from './test-inbox.ts';

const rig = new InboxRig();
beforeAll(() => rig.ready());
afterAll(() => rig.close());

const marks = () => rig.inbox.ackedMarks(rig.user);

describe('the cursor', () => {
  it('of what was acked before moves nothing, while another device holds the list', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10, 20, 30]);
    await rig.ack('d1', gen, 3, 30);
    expect(await rig.ack('d1', gen, 1, 10)).toMatchObject({ is: 'ok', acked: 3, tail: 3 });
    expect(await rig.cursor('d1')).toBe(3);
    expect(await rig.connect('d1')).toMatchObject({ acked: 3 });
  });

  it('moves by a cumulative ack, forward only', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20, 30]);
    expect(await rig.ack('d1', gen, 2, 20)).toEqual({ is: 'ok', acked: 2, tail: 3, page: undefined });
    expect(await rig.ack('d1', gen, 1, 10)).toMatchObject({ is: 'ok', acked: 2 });
    expect(await rig.ack('d1', gen, 2, 20)).toMatchObject({ is: 'ok', acked: 2 });
    expect(await rig.ack('d1', gen, 3, 30)).toMatchObject({ is: 'ok', acked: 3 });
  });

  it('does not move beyond the tail, nor where another position was sent at that seq', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    expect(await rig.ack('d1', gen, 3, 30)).toEqual({ is: 'refused' });
    expect(await rig.ack('d1', gen, 2, 10)).toEqual({ is: 'refused' });
    expect(await rig.cursor('d1')).toBe(0);
    expect(await rig.listed()).toEqual([10, 20]);
    expect(await marks()).toEqual({});
  });

  it('does not move in another generation, or for a device that is none', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10]);
    expect(await rig.ack('d1', gen + 1, 1, 10)).toEqual({ is: 'reset' });
    expect(await rig.ack('d9', gen, 1, 10)).toEqual({ is: 'reset' });
    expect(await rig.cursor('d1')).toBe(0);
  });

  it('does not move in an inbox that is lost', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10]);
    await rig.store.client.hset(rig.keys().meta, 'store', 'another');
    expect(await rig.ack('d1', gen, 1, 10)).toEqual({ is: 'partial' });
    await rig.store.client.del(rig.keys().meta);
    expect(await rig.ack('d1', gen, 1, 10)).toEqual({ is: 'partial' });
  });

  it('by HTTP moves only over what a session or a sync has shown the device', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.disconnect('c-d1');
    await rig.enqueue([10, 20, 30]);
    const byHttp = (seq: number) => rig.ack('d1', gen, seq, 0, '');
    expect(await byHttp(1)).toEqual({ is: 'refused' });
    await rig.sync('d1', { limit: 2 });
    expect(await byHttp(3)).toEqual({ is: 'refused' });
    expect(await byHttp(2)).toMatchObject({ is: 'ok', acked: 2 });
    await rig.live('d1');
    expect(await byHttp(3)).toMatchObject({ is: 'ok', acked: 3 });
  });
});

describe('the list', () => {
  it('keeps what the slowest active device has not acked', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10, 20, 30]);
    await rig.ack('d1', gen, 3, 30);
    expect(await rig.listed()).toEqual([10, 20, 30]);
    await rig.ack('d2', gen, 1, 10);
    expect(await rig.listed()).toEqual([20, 30]);
    await rig.ack('d2', gen, 3, 30);
    expect(await rig.listed()).toEqual([]);
    expect(await rig.meta()).toMatchObject({ base: '3', tail: '3', bytes: '0' });
  });

  it('is held by a device that is connected, however long unseen, and by none that is neither', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10, 20]);
    await rig.unseen('d2', 3700);
    await rig.ack('d1', gen, 1, 10);
    expect(await rig.listed()).toEqual([10, 20]);
    await rig.disconnect('c-d2');
    await rig.unseen('d2', 3700);
    await rig.ack('d1', gen, 2, 20);
    expect(await rig.listed()).toEqual([]);
  });

  it('counts the bytes that are left', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    await rig.ack('d1', gen, 1, 10);
    const left = await rig.store.client.lrange(rig.keys().list, 0, -1);
    expect((await rig.meta()).bytes).toBe(String(Buffer.byteLength(left.join(''))));
  });

  it('is trimmed by 2,000 entries at once', async () => {
    const wide = new InboxRig({ windowEntries: 3000, maxEntries: 5000 });
    await wide.ready();
    const gen = await wide.wholeWith('d1');
    await wide.enqueue(positions(1, 2500));
    expect(await wide.ack('d1', gen, 2000, 2000)).toMatchObject({ is: 'ok', acked: 2000 });
    expect(await wide.listed()).toEqual(positions(2001, 2500));
    await wide.close();
  });
});

describe('marks for the durable cursors', () => {
  it('say how far each conversation was passed, by device', async () => {
    const gen = await rig.wholeWith('d1', 'd2');
    const carols = (position: number) => inboxEntry(position, { entry: entryAt(position, { from: 'carol' }) });
    await rig.enqueue([10, carols(20), 30, carols(40)]);
    await rig.ack('d1', gen, 3, 30);
    await rig.ack('d2', gen, 1, 10);
    expect(await marks()).toEqual({
      'd1#dm:alice:bob': '30',
      'd1#dm:alice:carol': '20',
      'd2#dm:alice:bob': '10',
    });
    expect(await rig.store.client.pttl(rig.keys().acked)).toBeGreaterThan(3_500_000);
  });

  it('are forgotten once they are durable, unless they have moved since', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue([10, 20]);
    await rig.ack('d1', gen, 1, 10);
    const taken = Object.entries(await marks()).flat();
    await rig.ack('d1', gen, 2, 20);
    await rig.inbox.run([rig.inbox.flushedCall(rig.user, taken)]);
    expect(await marks()).toEqual({ 'd1#dm:alice:bob': '20' });
    await rig.inbox.run([rig.inbox.flushedCall(rig.user, Object.entries(await marks()).flat())]);
    expect(await marks()).toEqual({});
  });
});

describe('the next page', () => {
  it('comes with each ack while the session drains, and live exactly where the page reaches the tail', async () => {
    await rig.whole();
    await rig.enqueue(positions(1, 25));
    const { gen } = (await rig.connect('d1')) as { gen: number };
    await rig.replay('c-d1');
    const seen: [number, number, boolean][] = [];
    for (let seq = 5; seq <= 25; seq += 5) {
      const reply = await rig.ack('d1', gen, seq, seq);
      if (reply.is !== 'ok') throw new Error(reply.is);
      if (reply.page) seen.push([reply.page.firstSeq, reply.page.entries.length, reply.page.live]);
    }
    expect(seen).toEqual([
      [11, 5, false],
      [16, 5, false],
      [21, 5, true],
    ]);
    expect((await rig.enqueue([26])).live).toMatchObject([{ fromSeq: 26, toSeq: 26 }]);
  });

  it('has what was enqueued while the last page was read', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue(positions(1, 11));
    await rig.enqueue([12]);
    expect(await rig.ack('d1', gen, 4, 4)).toMatchObject({ page: { firstSeq: 11, live: true, tail: 12 } });
  });

  it('comes only to the connection that acked', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue(positions(1, 12));
    expect(await rig.ack('d1', gen, 5, 5, 'other')).toMatchObject({ is: 'ok', acked: 5, page: undefined });
  });

  it('is not skipped where age took it: the inbox is rebuilt', async () => {
    const gen = await rig.wholeWith('d1');
    await rig.enqueue(positions(1, 13));
    await rig.age(12, 3601);
    expect(await rig.ack('d1', gen, 3, 3)).toEqual({ is: 'partial' });
    expect(await rig.cursor('d1')).toBe(3);
    expect((await rig.dueCheck()).is).toBe('partial');
  });
});
