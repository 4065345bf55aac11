import { describe, expect, it } from 'vitest';
import { memoryStore } from './store/memory-store.ts';
import { GOOD_LINE } from './testing/peer.ts';
import { rig, TestSignals } from './testing/rig.ts';
import { settle } from './testing/virtual-clock.ts';
import type { Message } from './views.ts';

/** The latest value of a subscription. */
function latest<T>(subscribe: (listener: (value: T) => void) => () => void): {
  value: T | undefined;
  all: T[];
  stop: () => void;
} {
  const seen: { value: T | undefined; all: T[]; stop: () => void } = { value: undefined, all: [], stop: () => {} };
  seen.stop = subscribe((value) => {
    seen.value = value;
    seen.all.push(value);
  });
  return seen;
}

const DM = 'dm:ana:bo';

describe('a client and a peer', () => {
  it('takes a message through its states, to read, on both sides', async () => {
    const { clock, client } = rig();
    const ana = client('ana');
    const bo = client('bo');
    const mine = latest<Message[]>((listener) => ana.subscribeMessages(DM, listener));
    const theirs = latest<Message[]>((listener) => bo.subscribeMessages(DM, listener));
    const sent = await ana.send({ to: 'bo' }, 'hello');
    expect(sent.state).toBe('created');
    await ana.start();
    await clock.advance(1000);
    expect(mine.value?.map((m) => m.state)).toEqual(['stored']);
    await bo.start();
    await clock.advance(1000);
    expect(theirs.value?.map((m) => [m.body, m.state, m.from])).toEqual([['hello', 'received', 'ana']]);
    expect(mine.value?.[0]?.state).toBe('delivered');
    await bo.markRead(DM);
    await clock.advance(1000);
    expect(mine.value?.[0]?.state).toBe('read');
    const states = [...new Set(mine.all.flatMap((messages) => messages.map((m) => m.state)))];
    expect(states.filter((state) => ['created', 'sending', 'stored', 'delivered', 'read'].includes(state))).toEqual([
      'created',
      'sending',
      'stored',
      'delivered',
      'read',
    ]);
    await Promise.all([ana.stop(), bo.stop()]);
  });

  it('saves an entry before it acknowledges it, and not at all while the store fails', async () => {
    const { clock, client, peer } = rig();
    const store = memoryStore();
    let failing = true;
    const bo = client('bo', {
      store: {
        ...store,
        transaction: (mode, work) =>
          store.transaction(mode, async (tx) => {
            const result = await work(tx);
            if (failing && mode === 'write' && (await tx.range('messages', { limit: 1 })).length > 0)
              throw new Error('disk full');
            return result;
          }),
      },
    });
    const errors = latest<unknown>((listener) => bo.subscribeErrors(listener));
    await bo.start();
    await clock.advance(100);
    peer.post('ana', DM, 'message-1', 'kept?');
    await clock.advance(5000);
    expect(errors.value).toBeInstanceOf(Error);
    expect(peer.frames.filter(({ frame }) => frame.t === 'ack')).toEqual([]);
    failing = false;
    await clock.advance(60_000);
    expect(peer.frames.filter(({ frame }) => frame.t === 'ack').at(-1)?.frame).toEqual({ t: 'ack', seq: 1, gen: 7 });
    await bo.stop();
  });

  it('shows an entry once, however often it comes', async () => {
    const { clock, client, peer } = rig();
    const bo = client('bo');
    const got = latest<Message[]>((listener) => bo.subscribeMessages(DM, listener));
    const unread = latest<number>((listener) => bo.subscribeUnread(listener));
    await bo.start();
    await clock.advance(100);
    for (let i = 1; i <= 3; i++) peer.post('ana', DM, `message-${i}`, `${i}`);
    await clock.advance(100);
    peer.reset();
    await clock.advance(100);
    peer.closeAll(1006);
    await clock.advance(10_000);
    expect(got.value?.map((m) => m.body)).toEqual(['1', '2', '3']);
    expect(unread.value).toBe(3);
    expect(peer.devices.get('bo/bo-phone')?.acked).toBe(3);
    await bo.stop();
  });

  it('sends what was saved before a crash once, in order, after the restart', async () => {
    const { clock, client, peer } = rig();
    const store = memoryStore();
    const first = client('ana', { store });
    await first.start();
    await clock.advance(100);
    // The answers are lost with the app: only the server knows what arrived.
    peer.line = { ...GOOD_LINE, fate: (direction) => (direction === 'in' ? 'half-open' : 'deliver') };
    for (let i = 1; i <= 5; i++) await first.send({ to: 'bo' }, `${i}`);
    await clock.advance(50);
    first.pause();
    peer.line = GOOD_LINE;
    const second = client('ana', { store });
    const mine = latest<Message[]>((listener) => second.subscribeMessages(DM, listener));
    await second.start();
    await clock.advance(5000);
    expect(peer.history.get(DM)?.map((m) => m.body)).toEqual(['1', '2', '3', '4', '5']);
    expect(mine.value?.map((m) => m.state)).toEqual(Array(5).fill('stored'));
    await second.stop();
  });

  it('waits as long as a refusal asks, lets nothing overtake, and then sends', async () => {
    const { clock, client, peer } = rig();
    let refusals = 1;
    peer.onSend = (_user, frame) =>
      refusals-- > 0
        ? {
            t: 'rejected',
            id: frame.id,
            code: 'rate_limited',
            message: 'slow down',
            retryable: true,
            retryAfterMs: 5000,
          }
        : undefined;
    const ana = client('ana');
    const mine = latest<Message[]>((listener) => ana.subscribeMessages(DM, listener));
    await ana.start();
    await ana.send({ to: 'bo' }, 'first');
    await ana.send({ to: 'bo' }, 'second');
    await clock.advance(4500);
    expect(peer.history.get(DM)).toBeUndefined();
    expect(mine.value?.map((m) => [m.state, m.error?.code])).toEqual([
      ['failed-send', 'rate_limited'],
      ['created', undefined],
    ]);
    await clock.advance(10_000);
    expect(peer.history.get(DM)?.map((m) => m.body)).toEqual(['first', 'second']);
    await ana.stop();
  });

  it('reports a final refusal, goes on with the next, and sends it again by hand', async () => {
    const { clock, client, peer } = rig();
    peer.onSend = (_user, frame) =>
      frame.body === 'bad'
        ? { t: 'rejected', id: frame.id, code: 'not_a_member', message: 'no', retryable: false }
        : undefined;
    const ana = client('ana');
    const mine = latest<Message[]>((listener) => ana.subscribeMessages(DM, listener));
    await ana.start();
    const bad = await ana.send({ to: 'bo' }, 'bad');
    await ana.send({ to: 'bo' }, 'good');
    await clock.advance(1000);
    expect(mine.value?.map((m) => [m.body, m.state])).toEqual([
      ['good', 'stored'],
      ['bad', 'rejected'],
    ]);
    peer.onSend = () => undefined;
    await ana.resend(bad.id);
    await clock.advance(1000);
    expect(mine.value?.map((m) => [m.body, m.state])).toEqual([
      ['good', 'stored'],
      ['bad', 'stored'],
    ]);
    await ana.stop();
  });

  it('gives a message whose id is taken a new one when it is sent again', async () => {
    const { clock, client, peer } = rig();
    const ana = client('ana');
    peer.post('ana', DM, 'taken-id-1', 'another');
    const mine = latest<Message[]>((listener) => ana.subscribeOutbox(listener));
    await ana.start();
    await ana.send({ to: 'bo' }, 'mine', { id: 'taken-id-1' });
    await clock.advance(1000);
    expect(mine.value?.[0]?.error?.code).toBe('duplicate_conflict');
    await ana.resend('taken-id-1');
    await clock.advance(1000);
    expect(peer.history.get(DM)?.map((m) => m.body)).toEqual(['another', 'mine']);
    await ana.stop();
  });

  it('says honestly what a cancel came to', async () => {
    const { clock, client, peer } = rig();
    const ana = client('ana');
    const unsent = await ana.send({ to: 'bo' }, 'never mind');
    expect(await ana.cancel(unsent.id)).toBe('cancelled');
    expect(await ana.cancel(unsent.id)).toBeUndefined();
    peer.onSend = (_user, frame) => ({ t: 'rejected', id: frame.id, code: 'overloaded', message: '', retryable: true });
    await ana.start();
    const tried = await ana.send({ to: 'bo' }, 'tried');
    await clock.advance(100);
    expect(await ana.cancel(tried.id)).toBe('unknown');
    peer.onSend = () => undefined;
    await clock.advance(60_000);
    expect(peer.history.get(DM)).toBeUndefined();
    await ana.stop();
  });

  it('fills a gap from the history, in order, once, and counts it as unread', async () => {
    const { clock, client, peer } = rig();
    const bo = client('bo');
    const got = latest<Message[]>((listener) => bo.subscribeMessages(DM, listener, { limit: 500 }));
    const unread = latest<number>((listener) => bo.subscribeUnread(listener));
    await bo.start();
    peer.post('ana', DM, 'message-0', '0');
    await clock.advance(100);
    const kept = peer.inboxes.get('bo');
    for (let i = 1; i <= 250; i++) {
      peer.inboxes.set('bo', []);
      peer.post('ana', DM, `message-${i}`, `${i}`);
    }
    peer.inboxes.set('bo', kept ?? []);
    peer.enter('bo', { t: 'gap', from: 2, to: 2, count: 1, reason: 'overflow', conversations: [DM] });
    peer.post('ana', DM, 'message-251', '251');
    await clock.advance(5000);
    expect(got.value?.map((m) => m.body)).toEqual(Array.from({ length: 252 }, (_, i) => `${i}`));
    expect(unread.value).toBe(252);
    await bo.stop();
  });

  it('pulls everything where the server has moved on without this store', async () => {
    const { clock, client, peer } = rig();
    const store = memoryStore();
    const bo = client('bo', { store });
    await bo.start();
    peer.post('ana', DM, 'message-1', '1');
    await clock.advance(100);
    bo.pause();
    peer.post('ana', DM, 'message-2', '2');
    peer.post('cy', 'dm:bo:cy', 'message-3', '3');
    const device = peer.devices.get('bo/bo-phone');
    if (device !== undefined) device.acked = 3;
    const got = latest<Message[]>((listener) => bo.subscribeMessages(DM, listener));
    const other = latest<Message[]>((listener) => bo.subscribeMessages('dm:bo:cy', listener));
    bo.resume();
    await clock.advance(5000);
    expect(got.value?.map((m) => m.body)).toEqual(['1', '2']);
    expect(other.value?.map((m) => m.body)).toEqual(['3']);
    await bo.stop();
  });

  it('nacks an entry that it cannot keep, and goes on', async () => {
    const { clock, client, peer } = rig();
    const bo = client('bo');
    const got = latest<Message[]>((listener) => bo.subscribeMessages(DM, listener));
    await bo.start();
    await clock.advance(100);
    peer.enter('bo', { t: 'message', conversation: DM, position: 5 });
    peer.post('ana', DM, 'message-1', 'after it');
    await clock.advance(100);
    const answers = peer.frames.map(({ frame }) => frame).filter((frame) => frame.t === 'ack' || frame.t === 'nack');
    expect(answers[0]).toMatchObject({ t: 'nack', seq: 1, gen: 7 });
    expect(answers.at(-1)).toEqual({ t: 'ack', seq: 2, gen: 7 });
    expect(got.value?.map((m) => m.body)).toEqual(['after it']);
    await bo.stop();
  });

  it('shows a tombstone in place of the text, and counts it as read', async () => {
    const { clock, client, peer } = rig();
    const bo = client('bo');
    const got = latest<Message[]>((listener) => bo.subscribeMessages(DM, listener));
    const unread = latest<number>((listener) => bo.subscribeUnread(listener));
    await bo.start();
    const { position } = peer.post('ana', DM, 'message-1', 'oops');
    await clock.advance(100);
    expect(unread.value).toBe(1);
    peer.enter('bo', { t: 'deleted', conversation: DM, position, by: 'ana', at: 5 });
    await clock.advance(100);
    expect(got.value).toMatchObject([{ body: '', deleted: { by: 'ana', at: 5 } }]);
    expect(unread.value).toBe(0);
    await bo.stop();
  });

  it('loads older pages once, and a message whose tombstone they brought stays gone when it comes again', async () => {
    const { clock, client, peer } = rig();
    const bo = client('bo');
    for (let i = 0; i < 70; i++) peer.post('ana', DM, `message-${i}`, `${i}`);
    const [newest] = (peer.inboxes.get('bo') ?? []).slice(-1);
    // The inbox has only the newest entry left; the history has them all, one of them deleted since.
    peer.inboxes.set('bo', [newest ?? { t: 'none' }]);
    const pages = peer.history.get(DM) ?? [];
    const gone = pages[68];
    const position = gone?.position ?? 0;
    peer.history.set(DM, [
      ...pages.slice(0, 68),
      { t: 'deleted', conversation: DM, position, by: 'ana', at: 9 } as never,
      ...pages.slice(69),
    ]);
    const got = latest<Message[]>((listener) => bo.subscribeMessages(DM, listener, { limit: 500 }));
    await bo.start();
    await clock.advance(1000);
    expect(got.value?.length).toBeGreaterThanOrEqual(50);
    expect(await bo.loadOlder(DM, 50)).toBe(false);
    expect(await bo.loadOlder(DM, 50)).toBe(false);
    await clock.advance(100);
    peer.enter('bo', { ...(gone as object), t: 'message' });
    await clock.advance(100);
    expect(got.value?.map((m) => m.deleted?.by ?? m.body)).toEqual(
      Array.from({ length: 70 }, (_, i) => (i === 68 ? 'ana' : `${i}`)),
    );
    await bo.stop();
  });

  it('fetches and acknowledges by HTTP when a push wakes it, without a socket', async () => {
    const { clock, client, peer } = rig();
    const bo = client('bo');
    for (let i = 1; i <= 450; i++) peer.post('ana', DM, `message-${i}`, `${i}`);
    expect(await bo.handlePush()).toBe(450);
    expect(await bo.handlePush()).toBe(0);
    expect(peer.connects).toEqual([]);
    const got = latest<Message[]>((listener) => bo.subscribeMessages(DM, listener, { limit: 500 }));
    await bo.start();
    await clock.advance(1000);
    expect(got.value).toHaveLength(450);
    expect(new Set(got.value?.map((m) => m.id)).size).toBe(450);
    await bo.stop();
  });

  it('gives arrivals to a loop once each, and goes on where the last one stopped', async () => {
    const { clock, client, peer } = rig();
    const bo = client('bo');
    await bo.start();
    const take = async (count: number, after: number): Promise<Message[]> => {
      const got: Message[] = [];
      for await (const message of bo.messages({ after })) if (got.push(message) === count) break;
      return got;
    };
    const first = take(2, 0);
    for (let i = 1; i <= 3; i++) peer.post('ana', DM, `message-${i}`, `${i}`);
    await clock.advance(100);
    expect((await first).map((m) => m.body)).toEqual(['1', '2']);
    const then = take(2, (await first)[1]?.arrival ?? 0);
    peer.post('ana', DM, 'message-4', '4');
    await clock.advance(100);
    expect((await then).map((m) => m.body)).toEqual(['3', '4']);
    const ended = new AbortController();
    const loop = (async () => {
      for await (const _ of bo.messages({ signal: ended.signal }));
    })();
    await settle();
    ended.abort();
    await loop;
    await bo.stop();
  });

  it('refuses at once what the server would refuse for ever', async () => {
    const { client } = rig();
    const ana = client('ana', { maxOutbox: 2 });
    await expect(ana.send({ to: 'bo' }, 'é'.repeat(20_000))).rejects.toMatchObject({ code: 'too_large' });
    await expect(ana.send({ conversation: 'room' }, 'x')).rejects.toMatchObject({ code: 'bad_field' });
    await ana.send({ to: 'bo' }, '1');
    await ana.send({ to: 'bo' }, '2');
    await ana.send({ to: 'bo' }, '3');
    await expect(ana.send({ to: 'bo' }, '4')).rejects.toMatchObject({ code: 'outbox_full', canRetry: true });
    await ana.stop();
  });

  it('finds a dead line by its silence, and is back at once when the network is', async () => {
    const { clock, client, peer } = rig();
    const signals = new TestSignals();
    const bo = client('bo', { signals });
    await bo.start();
    await clock.advance(1000);
    expect(peer.connects).toHaveLength(1);
    peer.line = { ...GOOD_LINE, fate: () => 'half-open', refuse: () => true };
    await clock.advance(40_000);
    signals.set(false);
    await clock.advance(30_000);
    peer.line = GOOD_LINE;
    peer.post('ana', DM, 'message-1', 'back');
    signals.set(true);
    await clock.advance(1000);
    expect(peer.connects).toHaveLength(2);
    expect(peer.devices.get('bo/bo-phone')?.acked).toBe(1);
    await bo.stop();
  });

  it('does not come back where another has its place (4003)', async () => {
    const { clock, client, peer } = rig();
    const bo = client('bo');
    const status = latest((listener: (value: { phase: string; ended?: { code: number } }) => void) =>
      bo.subscribeStatus(listener),
    );
    await bo.start();
    await clock.advance(100);
    peer.closeAll(4003);
    await clock.advance(600_000);
    expect(peer.connects).toHaveLength(1);
    expect(status.value).toMatchObject({ phase: 'stopped', ended: { code: 4003 } });
    bo.resume();
    await clock.advance(100);
    expect(status.value).toMatchObject({ phase: 'connected' });
    await bo.stop();
  });

  it('asks for a new token after 4002, and refuses to be another user', async () => {
    const { clock, client, peer } = rig();
    const asked: boolean[] = [];
    const bo = client('bo', {
      token: (fresh) => {
        asked.push(fresh);
        return 'token-bo';
      },
    });
    await bo.start();
    await clock.advance(100);
    peer.closeAll(4002);
    await clock.advance(5000);
    expect(asked).toEqual([false, true]);
    expect(peer.connects).toHaveLength(2);
    await bo.stop();
    const wrong = client('cy', { token: () => 'token-bo' });
    const errors = latest<unknown>((listener) => wrong.subscribeErrors(listener));
    await wrong.start();
    await clock.advance(600_000);
    expect(errors.value).toMatchObject({ code: 'wrong_user' });
    expect(peer.connects).toHaveLength(3);
    await wrong.stop();
  });
});
