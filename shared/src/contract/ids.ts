import { z } from 'zod';

/** The identifiers of PROTOCOL.md, with the patterns that every edge checks. */
export const USER_PATTERN = /^[A-Za-z0-9_.@-]{1,128}$/;
export const DEVICE_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;
export const MESSAGE_ID_PATTERN = /^[A-Za-z0-9_-]{8,64}$/;
const DIRECT_PATTERN = /^dm:([A-Za-z0-9_.@-]{1,128}):([A-Za-z0-9_.@-]{1,128})$/;
export const GROUP_PATTERN = /^grp:[A-Za-z0-9_-]{1,64}$/;

export const userSchema = z.string().regex(USER_PATTERN, 'must match [A-Za-z0-9_.@-]{1,128}');
export const deviceSchema = z.string().regex(DEVICE_PATTERN, 'must match [A-Za-z0-9_-]{1,64}');
export const messageIdSchema = z.string().regex(MESSAGE_ID_PATTERN, 'must match [A-Za-z0-9_-]{8,64}');
export const conversationSchema = z
  .string()
  .refine((value) => parseConversation(value) !== undefined, 'must be dm:<userA>:<userB>, sorted, or grp:<id>')
  .meta({
    // What of it a pattern can say; that the two users are sorted it can't.
    pattern: '^(dm:[A-Za-z0-9_.@-]{1,128}:[A-Za-z0-9_.@-]{1,128}|grp:[A-Za-z0-9_-]{1,64})$',
    description: 'dm:<userA>:<userB>, the two sorted by code unit, or grp:<id>',
  });

/** The two members of a direct conversation, or none where anybody may be a member (a group). */
export type ConversationParts = { kind: 'dm'; members: readonly [string, string] } | { kind: 'group'; id: string };

/**
 * The direct conversation of two users.
 * @returns `dm:<userA>:<userB>`, the ids sorted by UTF-16 code unit, so that both sides name it alike. A user's
 *   conversation with themselves has the same id twice.
 */
export function directConversation(a: string, b: string): string {
  return a <= b ? `dm:${a}:${b}` : `dm:${b}:${a}`;
}

/** Takes a conversation id apart. @returns undefined where it is not one in canonical form. */
export function parseConversation(conversation: string): ConversationParts | undefined {
  if (conversation.startsWith('dm:')) {
    // One look, for each message is looked at several times.
    const [, a, b] = DIRECT_PATTERN.exec(conversation) ?? [];
    return a !== undefined && b !== undefined && a <= b ? { kind: 'dm', members: [a, b] } : undefined;
  }
  return GROUP_PATTERN.test(conversation) ? { kind: 'group', id: conversation.slice(4) } : undefined;
}

/** Offsets of one epoch of the log take the low 40 bits of a position; 13 bits are left for the epoch below 2^53. */
const EPOCH_SPAN = 2 ** 40;
export const MAX_EPOCH = 2 ** 13 - 1;

/**
 * The position of a record of `incoming_messages`: the log is the sequencer (DESIGN.md, decision 1).
 * @throws RangeError where epoch or offset are outside what 53 bits hold: a wrong position would reorder a conversation.
 */
export function positionOf(epoch: number, offset: number): number {
  if (!Number.isSafeInteger(epoch) || epoch < 1 || epoch > MAX_EPOCH) throw new RangeError(`epoch ${epoch}`);
  if (!Number.isSafeInteger(offset) || offset < 0 || offset >= EPOCH_SPAN) throw new RangeError(`offset ${offset}`);
  return epoch * EPOCH_SPAN + offset;
}

/** The offset part of a position, within its epoch. */
export function offsetOf(position: number): number {
  return position % EPOCH_SPAN;
}
