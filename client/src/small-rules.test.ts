import { describe, expect, it } from 'vitest';
import { backoffMs } from './backoff.ts';
import { directConversation, peerOf, uuidv7 } from './ids.ts';
import { reachOf } from './message-state.ts';
import { afterClose, parseServerFrame, utf8Bytes } from './protocol.ts';
import { TokenCache } from './token.ts';

describe('backoff', () => {
  it('is anywhere from nothing to 2, 4, 8, 16 … s, bounded', () => {
    expect([1, 2, 3, 4, 9, 5000].map((n) => backoffMs(n, 0.99999))).toEqual([1999, 3999, 7999, 15999, 63999, 63999]);
    expect(backoffMs(4, 0)).toBe(0);
  });
  it('is never shorter than asked', () => {
    expect(backoffMs(1, 0, undefined, 700)).toBe(700);
    expect(backoffMs(1, 0.5, undefined, 700)).toBe(1050);
  });
});

describe('ids', () => {
  it('makes UUIDv7: the time first, then version and variant', () => {
    const id = uuidv7(0x0123456789ab, () => new Uint8Array(16).fill(0xff));
    expect(id).toBe('01234567-89ab-7fff-bfff-ffffffffffff');
  });
  it('names a direct conversation alike from both sides, by code units', () => {
    expect(directConversation('b', 'a')).toBe('dm:a:b');
    expect(directConversation('a', 'B')).toBe('dm:B:a');
    expect([peerOf('dm:a:b', 'a'), peerOf('dm:a:b', 'b'), peerOf('dm:a:b', 'c'), peerOf('grp:a', 'a')]).toEqual([
      'b',
      'a',
      undefined,
      undefined,
    ]);
  });
});

describe('reach of a message', () => {
  const receipt = (user: string, delivered: number, read: number) => ({ conversation: 'grp:1', user, delivered, read });
  it('is what all the others have', () => {
    expect(reachOf(5, 'me', ['a', 'b'], [receipt('a', 9, 5)])).toEqual({ state: 'stored', deliveredTo: 1, readBy: 1 });
    expect(reachOf(5, 'me', ['a', 'b'], [receipt('a', 9, 5), receipt('b', 5, 4)])).toEqual({
      state: 'delivered',
      deliveredTo: 2,
      readBy: 1,
    });
    expect(reachOf(5, 'me', ['a', 'b'], [receipt('a', 9, 5), receipt('b', 5, 5)]).state).toBe('read');
  });
  it('does not take one’s own receipt, nor nobody, for the others', () => {
    expect(reachOf(5, 'me', undefined, [receipt('me', 9, 9)]).state).toBe('stored');
    expect(reachOf(5, 'me', ['me'], []).state).toBe('stored');
  });
});

describe('the wire', () => {
  it('knows what each close code asks for', () => {
    expect([1001, 1006, 1011, 1013, 4000, 4008, 4029].map(afterClose)).toEqual(Array(7).fill('backoff'));
    expect([4001, 4002].map(afterClose)).toEqual(['new-token', 'new-token']);
    expect([4003, 4009, 1009].map(afterClose)).toEqual(['never', 'never', 'never']);
  });
  it('ignores what is no frame', () => {
    for (const text of ['', '{', '[]', 'null', '"x"', '{"t":1}']) expect(parseServerFrame(text)).toBeUndefined();
    expect(parseServerFrame('{"t":"pong","now":1}')).toEqual({ t: 'pong', now: 1 });
  });
  it('counts bytes as UTF-8', () => expect([utf8Bytes('a'), utf8Bytes('é'), utf8Bytes('😀')]).toEqual([1, 2, 4]));
});

describe('token cache', () => {
  const jwt = (exp: number) => `x.${btoa(JSON.stringify({ exp })).replace(/=+$/, '')}.y`;
  it('keeps a token until shortly before it expires, and no refused one', async () => {
    let now = 0;
    const asked: boolean[] = [];
    const cache = new TokenCache(
      (fresh) => {
        asked.push(fresh);
        return jwt(now / 1000 + 60);
      },
      () => now,
    );
    await cache.get(false);
    now = 39_000;
    await cache.get(false);
    expect(asked).toEqual([false]);
    now = 41_000;
    await cache.get(false);
    await cache.get(true);
    expect(asked).toEqual([false, true, true]);
  });
  it('says that the provider failed', async () => {
    const failing = new TokenCache(
      () => Promise.reject(new Error('no backend')),
      () => 0,
    );
    await expect(failing.get(false)).rejects.toMatchObject({ code: 'no_token', canRetry: true });
    await expect(
      new TokenCache(
        () => '',
        () => 0,
      ).get(false),
    ).rejects.toMatchObject({ code: 'no_token' });
  });
});
