import type { Decoded } from './steps.ts';

/** What a body belongs to; a codec should bind the body to it, so that the server can't move one elsewhere. */
export type BodyContext = { conversation: string; from: string; id: string };

/**
 * Turns bodies into what the server sees and back, such as for end-to-end encryption (`e2ee/direct-codec.ts`). A body is
 * encoded once, before it is first sent, and the result is kept: every retry carries the same bytes.
 */
export interface BodyCodec {
  /** @throws where it can't now, such as without the other's key: the message stays in the queue and is tried again. */
  encode(body: string, context: BodyContext): Promise<string>;
  /** @throws where it can't read the body: the message is kept as it came, marked `sealed`. */
  decode(body: string, context: BodyContext): Promise<DecodedBody>;
}
/** `encrypted` is false for a body that came in the clear: a page should say so where all were to be encrypted. */
export type DecodedBody = { body: string; encrypted: boolean };

/** Decodes for keeping. Never throws. */
export async function decodeBody(codec: BodyCodec | undefined, body: string, context: BodyContext): Promise<Decoded> {
  if (codec === undefined || typeof body !== 'string') return { body };
  try {
    const decoded = await codec.decode(body, context);
    return decoded.encrypted ? { body: decoded.body, encrypted: true } : { body: decoded.body };
  } catch {
    return { body, sealed: true };
  }
}
