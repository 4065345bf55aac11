import type { BodyCodec, BodyContext } from '../codec.ts';
import { peerOf } from '../ids.ts';
import { isSealed, type KeyPair, open, seal } from './envelope.ts';

export type DirectCodecOptions = {
  user: string;
  /** This user's pair, the same on all their devices. */
  keys: KeyPair;
  /**
   * Another user's public key, from where the app keeps them: a directory, checked by `safetyNumber`. Undefined where they
   * have none.
   */
  publicKeyOf: (user: string) => Promise<CryptoKey | undefined>;
  /** What to do for a user without a key: `wait` (the message stays in the queue) or `plain`. `wait` where not given. */
  withoutKey?: 'wait' | 'plain';
};

/** Thrown by `encode`: the message waits and is tried again. */
export class NoKeyError extends Error {
  override name = 'NoKeyError';
}

/**
 * Encrypts direct conversations end to end: the server stores and delivers what it can't read, and can neither change a
 * text, nor move it to another conversation, sender or id. Groups go in the clear. It protects against the server, not
 * against a stolen key: there is no ratchet, who gets a private key reads the past.
 */
export function directCodec({ user, keys, publicKeyOf, withoutKey = 'wait' }: DirectCodecOptions): BodyCodec {
  const keyOf = async (other: string): Promise<CryptoKey | undefined> =>
    other === user ? keys.publicKey : publicKeyOf(other);
  return {
    async encode(body, context) {
      const peer = peerOf(context.conversation, user);
      if (peer === undefined) return body;
      const key = await keyOf(peer);
      if (key !== undefined) return seal(body, bindingOf(context), keys, key);
      if (withoutKey === 'plain') return body;
      throw new NoKeyError(`${peer} has no key`);
    },
    async decode(body, context) {
      if (!isSealed(body)) return { body, encrypted: false };
      const sender = await keyOf(context.from);
      if (sender === undefined) throw new NoKeyError(`${context.from} has no key`);
      return { body: await open(body, bindingOf(context), keys, sender, context.from === user), encrypted: true };
    },
  };
}

function bindingOf({ conversation, from, id }: BodyContext): BodyContext {
  return { conversation, from, id };
}
