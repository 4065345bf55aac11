/** The wire, as PROTOCOL.md has it. The SDK knows nothing of the server that this page does not say. */

export const SUBPROTOCOL = 'restante.v1';
export const MAX_FRAME_BYTES = 64 * 1024;
export const MAX_BODY_BYTES = 32 * 1024;
export const MAX_ATTACHMENTS = 10;
export const MAX_WATCHED_USERS = 200;
/** How many conversations a `gap` can name: at this many there may be more. */
export const MAX_GAP_CONVERSATIONS = 100;

/** A file that a message points to; the SDK carries the reference, never the bytes. */
export type Attachment = { url: string; contentType: string; bytes: number; name?: string };

/** Why the server refused: the `code` of `rejected`, `error` and of HTTP problems. */
export type ErrorCode =
  | 'bad_frame'
  | 'bad_field'
  | 'too_large'
  | 'unauthorized'
  | 'not_a_member'
  | 'no_such_conversation'
  | 'no_such_message'
  | 'not_yours'
  | 'rate_limited'
  | 'overloaded'
  | 'duplicate_conflict'
  | 'internal';

type MessageOptions = {
  kind?: string;
  replyTo?: string;
  attachments?: Attachment[];
  ttlSeconds?: number;
  urgent?: boolean;
};

export type SendFrame = { t: 'send'; id: string; conversation: string; body: string } & MessageOptions;
export type DeleteFrame = { t: 'delete'; id: string; conversation: string; position: number };
export type ClientFrame =
  | SendFrame
  | DeleteFrame
  | { t: 'ack'; seq: number; gen: number }
  | { t: 'nack'; seq: number; gen: number; reason: string }
  | { t: 'read'; conversation: string; position: number }
  | { t: 'typing'; conversation: string; on: boolean }
  | { t: 'watch'; users: string[] }
  | { t: 'ping'; n?: number };

/** A message as the history has it; as an inbox entry it also has `seq` and `gen`. */
export type HistoryMessage = {
  t?: 'message';
  id: string;
  conversation: string;
  position: number;
  from: string;
  body: string;
  kind?: string;
  sentAt: number;
  storedAt?: number;
  replyTo?: string;
  attachments?: Attachment[];
  ttlSeconds?: number;
  urgent?: boolean;
  self?: boolean;
};
/** What a page of history shows in the place of a deleted message. */
export type Tombstone = { t: 'deleted'; conversation: string; position: number; by: string; at: number };
export type HistoryItem = HistoryMessage | Tombstone;
type Sequenced = { seq: number; gen: number; replayed?: boolean };
export type MessageEntry = HistoryMessage & Sequenced & { t: 'message' };
/** `position` is the deleted message's; `at` when. */
export type DeletedEntry = Sequenced & { t: 'deleted'; conversation: string; position: number; by: string; at: number };
export type MembersEntry = Sequenced & {
  t: 'members';
  conversation: string;
  position?: number;
  added?: string[];
  removed?: string[];
  by: string;
  at: number;
};
export type GapReason = 'expired' | 'overflow' | 'dead-lettered' | 'device-expired';
export type GapEntry = Sequenced & {
  t: 'gap';
  from: number;
  to: number;
  count: number;
  reason: GapReason;
  conversations: string[];
};
/** What comes with a `seq` and is acknowledged. */
export type InboxEntry = MessageEntry | DeletedEntry | MembersEntry | GapEntry;

export type WelcomeFrame = {
  t: 'welcome';
  connection: string;
  user: string;
  device: string;
  gen: number;
  acked: number;
  tail: number;
  window: number;
  heartbeatSeconds: number;
  now: number;
};
export type ReceiptFrame = { t: 'receipt'; conversation: string; user: string; delivered?: number; read?: number };
export type StoredFrame = { t: 'stored'; id: string; conversation: string; position: number; at: number };
export type RejectedFrame = {
  t: 'rejected';
  id: string;
  code: ErrorCode;
  message: string;
  retryable: boolean;
  retryAfterMs?: number;
};
export type ServerFrame =
  | WelcomeFrame
  | InboxEntry
  | { t: 'accepted'; id: string; at: number }
  | StoredFrame
  | RejectedFrame
  | { t: 'drained'; seq: number; gen: number }
  | { t: 'reset'; gen: number; acked: number; tail: number }
  | ReceiptFrame
  | { t: 'typing'; conversation: string; user: string; on: boolean }
  | { t: 'presence'; user: string; online: boolean; lastSeen?: number }
  | { t: 'error'; code: ErrorCode; message: string }
  | { t: 'bye'; code: number; reason: string; reconnectAfterMs: number }
  | { t: 'pong'; n?: number; now: number };

/** What a close code asks of a client. Codes that the page does not list are treated as a broken line. */
export type AfterClose = 'backoff' | 'new-token' | 'never';
export function afterClose(code: number): AfterClose {
  if (code === 4001 || code === 4002) return 'new-token';
  return code === 4003 || code === 4009 || code === 1009 ? 'never' : 'backoff';
}

/** @returns the frame, or undefined where the text is none: what can't be read is ignored, never fatal. */
export function parseServerFrame(text: string): ServerFrame | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const typed = typeof value === 'object' && value !== null && typeof (value as { t?: unknown }).t === 'string';
    return typed ? (value as ServerFrame) : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes of a string in UTF-8. */
export function utf8Bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
