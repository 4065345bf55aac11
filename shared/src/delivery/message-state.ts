import type { ErrorCode } from '../contract/codes.ts';

export type RecipientState =
  | 'accepted'
  | 'stored'
  | 'pending'
  | 'notified'
  | 'delivering'
  | 'delivered'
  | 'read'
  | 'failed';
export type StateReason = 'expired' | 'dead-lettered' | 'rejected';

/** What is known of a message for one recipient; times in ms since the epoch, undefined where not known. */
export type RecipientFacts = {
  storedAtMs: number | undefined;
  /** In the recipient's inbox. */
  inboxed: boolean;
  pushedAtMs: number | undefined;
  /** A connection of theirs is open and has been sent the inbox up to it, or is being. */
  connected: boolean;
  deliveredAtMs: number | undefined;
  delivered: boolean;
  readAtMs: number | undefined;
  read: boolean;
  /** When its ttl runs out, undefined where it has none. */
  expiresAtMs: number | undefined;
  deadLettered: boolean;
  rejected: ErrorCode | undefined;
};

export type DerivedState = { state: RecipientState; reason?: StateReason; at?: number };

/**
 * The state of a message for one recipient (PROTOCOL.md), from what is known: the one place that says so. What was read stays read, whatever
 * happens after; a connection that drops takes `delivering` back to `pending` or `notified`, because it is derived, not kept.
 */
export function deriveState(facts: RecipientFacts, nowMs: number): DerivedState {
  if (facts.rejected !== undefined) return { state: 'failed', reason: 'rejected' };
  // An entry that a device nacked counts as acked for it, so this comes before delivered.
  if (facts.deadLettered && !facts.read) return { state: 'failed', reason: 'dead-lettered' };
  if (facts.read) return at('read', facts.readAtMs);
  const expired = facts.expiresAtMs !== undefined && facts.expiresAtMs <= nowMs;
  const inTime =
    facts.deliveredAtMs === undefined || facts.expiresAtMs === undefined || facts.deliveredAtMs < facts.expiresAtMs;
  if (facts.delivered && inTime) return at('delivered', facts.deliveredAtMs);
  if (expired) return { state: 'failed', reason: 'expired', at: facts.expiresAtMs! };
  if (facts.storedAtMs === undefined) return { state: 'accepted' };
  if (!facts.inboxed) return at('stored', facts.storedAtMs);
  if (facts.connected) return { state: 'delivering' };
  if (facts.pushedAtMs !== undefined && facts.pushedAtMs >= facts.storedAtMs) return at('notified', facts.pushedAtMs);
  return at('pending', facts.storedAtMs);
}

const at = (state: RecipientState, time: number | undefined): DerivedState =>
  time === undefined ? { state } : { state, at: time };

const ORDER: readonly RecipientState[] = [
  'failed',
  'accepted',
  'stored',
  'pending',
  'notified',
  'delivering',
  'delivered',
  'read',
];

/** The state of the whole message: that of the recipient who is least far; one who failed doesn't hold the others back. */
export function overallState(states: readonly DerivedState[]): DerivedState {
  const going = states.filter(({ state }) => state !== 'failed');
  const pool = going.length > 0 ? going : states;
  return pool.reduce<DerivedState>(
    (least, one) => (ORDER.indexOf(one.state) < ORDER.indexOf(least.state) ? one : least),
    pool[0] ?? { state: 'stored' },
  );
}
