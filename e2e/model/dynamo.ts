import type { ConversationName, DeviceName, User } from './records.ts';

/** One record of incoming_messages that makes an entry, at its own position (decision 3). */
export type HistoryItem = {
  kind: 'message' | 'deleted' | 'members';
  id: string;
  from: User;
  conversation: ConversationName;
  position: number;
  partition: number;
  time: number;
  content: number | undefined;
  ttl: number | undefined;
  target: number | undefined;
};
/** `start`: where each source partition ended when it was made; undefined for a user's first device, which gets all. */
export type DeviceRow = {
  start: number[] | undefined;
  bornAt: number;
  seenAt: number;
};
/** A user was a member at the positions joined <= p < left. */
export type Interval = { joined: number; left: number };

/** The tables. Every read is strongly consistent unless a fault class says otherwise. */
export class Dynamo {
  readonly history = new Map<ConversationName, Map<number, HistoryItem>>();
  /** Conversation → positions of deleted messages (decision 3). */
  readonly tombstones = new Map<ConversationName, Set<number>>();
  readonly intervals = new Map<ConversationName, Map<User, Interval[]>>();
  /** User → conversation → from when on a lagging index would show it. */
  readonly memberships = new Map<User, Map<ConversationName, number>>();
  /** User → device → conversation → position: what that device has acked, only ever forward. */
  readonly cursors = new Map<User, Map<DeviceName, Map<ConversationName, number>>>();
  readonly devices = new Map<User, Map<DeviceName, DeviceRow>>();
  /** Source partition → store identity → up to which offset the claims are in it (decision 5). */
  readonly reread = new Map<number, Map<string, number>>();
}

/** The value at `key`, made where absent. */
export function ensure<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
