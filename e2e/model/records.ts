/** What the topics carry, in the terms of shared/src/contract/events.ts, less what no rule looks at. */

export type User = string;
export type DeviceName = string;
export type ConversationName = string;
export type ConnectionId = string;

/** Where the answer to a command goes. */
export type ReturnAddress = { connection: ConnectionId; slot: number };

type Placed = { offset: number; time: number; appendedAt: number };
export type SendCommand = {
  t: 'send';
  from: User;
  id: string;
  conversation: ConversationName;
  /** Stands for the body: two bodies under one id are a conflict. */
  content: number;
  ttl: number | undefined;
  answerTo: ReturnAddress | undefined;
};
export type DeleteCommand = {
  t: 'delete';
  from: User;
  id: string;
  conversation: ConversationName;
  /** Position of the message that is deleted. */
  target: number;
  answerTo: ReturnAddress | undefined;
};
export type MembersCommand = {
  t: 'members';
  from: User;
  id: string;
  conversation: ConversationName;
  added: User | undefined;
  removed: User | undefined;
};
/** Bytes that decode to nothing. */
export type GarbageCommand = { t: 'garbage'; from: User; id: string; conversation: ConversationName };

export type IncomingCommand = SendCommand | DeleteCommand | MembersCommand | GarbageCommand;
/** `time` is the record's, by the clock of the gateway that produced it; `appendedAt` is the truth, for the checker. */
export type IncomingRecord = IncomingCommand & Placed;

type OfSession = { user: User; device: DeviceName; connection: ConnectionId; slot: number };
export type UserEvent =
  | ({ t: 'user_connected' } & OfSession)
  | ({ t: 'user_disconnected' } & OfSession)
  | ({ t: 'acked'; generation: number; seq: number; position: number } & OfSession)
  | ({ t: 'nacked'; generation: number; seq: number; position: number; id: string } & OfSession)
  | ({ t: 'refill'; generation: number; from: number } & OfSession)
  | { t: 'acked_by_http'; user: User; device: DeviceName }
  | { t: 'rebuild_requested'; user: User; device: DeviceName };
export type UserEventOf<T extends UserEvent['t']> = Extract<UserEvent, { t: T }>;

export type GapReason = 'expired' | 'overflow' | 'dead-lettered' | 'device-expired';
/** One entry of an inbox: a history item with its place in the list. */
export type Entry = {
  seq: number;
  kind: 'message' | 'deleted' | 'members';
  id: string;
  from: User;
  conversation: ConversationName;
  position: number;
  partition: number;
  /** The record's time. */
  time: number;
  /** When it entered this list, by Redis. */
  enteredAt: number;
  /** undefined: a text that a tombstone has taken. */
  content: number | undefined;
  expiresAt: number | undefined;
  target: number | undefined;
  own: boolean;
};
/** Stands in the place of the entries `from`..`seq`. */
export type Gap = { kind: 'gap'; seq: number; from: number; reason: GapReason };
export type PageEntry = Entry | Gap;
export const isGap = (entry: PageEntry): entry is Gap => entry.kind === 'gap';

/** A hint to the gateway that owns `connection`. */
export type Hint = {
  connection: ConnectionId;
  generation: number;
  welcome?: { acked: number; tail: number };
  reset?: { acked: number; tail: number };
  page?: PageEntry[];
  /** The backlog ends at this seq. */
  drained?: number;
  probe?: { tail: number };
  close?: 'replaced' | 'refill';
  answer?: { t: 'stored'; id: string; position: number } | { t: 'rejected'; id: string; code: string };
};
