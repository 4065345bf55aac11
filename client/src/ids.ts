/** Fills an array with random bytes; `crypto.getRandomValues` where there is one. */
export type RandomBytes = (length: number) => Uint8Array;

/**
 * A UUIDv7: its first 48 bits are the time, so ids sort about by when they were made.
 * @param now milliseconds since the epoch
 */
export function uuidv7(now: number, randomBytes: RandomBytes): string {
  const bytes = randomBytes(16);
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) & 0xff;
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The direct conversation of two users, named alike by both: the ids in order of code units. */
export function directConversation(a: string, b: string): string {
  return a <= b ? `dm:${a}:${b}` : `dm:${b}:${a}`;
}

/** The other member of a direct conversation; undefined for a group, or where `me` is no member. */
export function peerOf(conversation: string, me: string): string | undefined {
  const [kind, a, b] = conversation.split(':');
  if (kind !== 'dm' || a === undefined || b === undefined) return undefined;
  if (a === me) return b;
  return b === me ? a : undefined;
}
