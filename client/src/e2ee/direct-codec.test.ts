import { describe, expect, it } from 'vitest';
import { rig } from '../testing/rig.ts';
import { advanceUntil } from '../testing/virtual-clock.ts';
import type { Message } from '../views.ts';
import { directCodec } from './direct-codec.ts';
import {
  exportPublicKey,
  generateKeyPair,
  importPublicKey,
  type KeyPair,
  open,
  safetyNumber,
  seal,
} from './envelope.ts';

const binding = { conversation: 'dm:ana:bo', from: 'ana', id: 'message-1' };

async function threeUsers() {
  const [ana, bo, eve] = await Promise.all([generateKeyPair(), generateKeyPair(), generateKeyPair()]);
  return { ana, bo, eve };
}

describe('a sealed body', () => {
  it('opens for the reader and for the sender, and shows nothing of the text', async () => {
    const { ana, bo } = await threeUsers();
    const body = await seal('meet at nine ✉️', binding, ana, bo.publicKey);
    expect(body).not.toContain('nine');
    expect(await open(body, binding, bo, ana.publicKey, false)).toBe('meet at nine ✉️');
    expect(await open(body, binding, ana, ana.publicKey, true)).toBe('meet at nine ✉️');
    expect(await seal('meet at nine ✉️', binding, ana, bo.publicKey)).not.toBe(body);
  });

  it('does not open for others, elsewhere, changed, or as another sender’s', async () => {
    const { ana, bo, eve } = await threeUsers();
    const body = await seal('secret', binding, ana, bo.publicKey);
    const fails = (promise: Promise<string>) => expect(promise).rejects.toThrow();
    await fails(open(body, binding, eve, ana.publicKey, false));
    await fails(open(body, binding, bo, eve.publicKey, false));
    for (const field of ['conversation', 'from', 'id'] as const)
      await fails(open(body, { ...binding, [field]: 'other' }, bo, ana.publicKey, false));
    for (const place of [10, 120, 250, body.length - 3]) {
      const changed = body.slice(0, place) + (body[place] === 'A' ? 'B' : 'A') + body.slice(place + 1);
      await fails(open(changed, binding, bo, ana.publicKey, false));
    }
    // Eve, who can be the server, seals to Bo in Ana's name.
    await fails(open(await seal('trust me', binding, eve, bo.publicKey), binding, bo, ana.publicKey, false));
  });

  it('has a safety number that is the same on both sides, and another with anyone else', async () => {
    const { ana, bo, eve } = await threeUsers();
    expect(await safetyNumber(ana.publicKey, bo.publicKey)).toBe(await safetyNumber(bo.publicKey, ana.publicKey));
    expect(await safetyNumber(ana.publicKey, bo.publicKey)).not.toBe(await safetyNumber(ana.publicKey, eve.publicKey));
    expect(await safetyNumber(ana.publicKey, bo.publicKey)).toMatch(/^(\d{5} ){11}\d{5}$/);
  });
});

describe('clients with the direct codec', () => {
  const DM = 'dm:ana:bo';
  const directory = (keys: Record<string, KeyPair>) => async (user: string) => {
    const pair = keys[user];
    return pair === undefined ? undefined : importPublicKey(await exportPublicKey(pair.publicKey));
  };

  it('read one another, while the server has ciphertext only and a retry repeats the same bytes', async () => {
    const keys = await threeUsers();
    const { clock, peer, client } = rig();
    const codec = (user: 'ana' | 'bo') => directCodec({ user, keys: keys[user], publicKeyOf: directory(keys) });
    const ana = client('ana', { codec: codec('ana') });
    const bo = client('bo', { codec: codec('bo') });
    let shown: Message[] = [];
    let refused = 0;
    peer.onSend = (_user, frame) =>
      refused++ < 2 ? { t: 'rejected', id: frame.id, code: 'overloaded', message: '', retryable: true } : undefined;
    bo.subscribeMessages(DM, (messages) => (shown = messages));
    await Promise.all([ana.start(), bo.start()]);
    await ana.send({ to: 'bo' }, 'for your eyes');
    await advanceUntil(clock, () => shown.length > 0);
    expect(shown).toMatchObject([{ body: 'for your eyes', encrypted: true }]);
    const sent = peer.frames.filter(({ frame }) => frame.t === 'send');
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ frame }) => JSON.stringify(frame))).size).toBe(1);
    expect(JSON.stringify([...peer.history])).not.toContain('for your eyes');
    await Promise.all([ana.stop(), bo.stop()]);
  });

  it('waits where the other has no key yet, and marks what it can’t open', async () => {
    const keys = await threeUsers();
    const known: Record<string, KeyPair> = { ana: keys.ana };
    const { clock, peer, client } = rig();
    const ana = client('ana', { codec: directCodec({ user: 'ana', keys: keys.ana, publicKeyOf: directory(known) }) });
    let shown: Message[] = [];
    ana.subscribeMessages(DM, (messages) => (shown = messages));
    await ana.start();
    await ana.send({ to: 'bo' }, 'early');
    await advanceUntil(clock, () => shown[0]?.state === 'failed-send');
    expect(shown).toMatchObject([{ state: 'failed-send' }]);
    expect(peer.history.get(DM)).toBeUndefined();
    known.bo = keys.bo;
    peer.post(
      'bo',
      DM,
      'message-9',
      await seal('x', { ...binding, from: 'bo', id: 'another-id' }, keys.bo, keys.ana.publicKey),
    );
    peer.post('bo', DM, 'message-10', 'in the clear');
    await advanceUntil(clock, () => shown.length === 3 && shown[2]?.state === 'stored');
    expect(shown.map(({ body, state, sealed, encrypted }) => [body.slice(0, 5), state, sealed, encrypted])).toEqual([
      ['e2e1.', 'received', true, undefined],
      ['in th', 'received', undefined, undefined],
      ['early', 'stored', undefined, true],
    ]);
    await ana.stop();
  });
});
