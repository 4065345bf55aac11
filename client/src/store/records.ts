import type { Attachment } from '../protocol.ts';

/** What the stores keep. Records are replaced, never changed in place. */
export type MessageRecord = Readonly<{
  conversation: string;
  position: number;
  from: string;
  id: string;
  /** As shown; decoded where there is a codec. */
  body: string;
  kind: string;
  sentAt: number;
  storedAt?: number;
  replyTo?: string;
  attachments?: Attachment[];
  deleted?: { by: string; at: number };
  members?: { added?: string[]; removed?: string[] };
  /** The codec could not read it; `body` is what came. */
  sealed?: true;
  /** It was encrypted end to end on the way. */
  encrypted?: true;
  /** Place in the order in which this device saved what others sent; 0 for what came by pages of history. */
  arrival: number;
}>;

/** States before the server has stored it; what follows is derived from receipts. */
export type OutboxState = 'created' | 'sending' | 'failed-send' | 'retrying' | 'accepted' | 'rejected';

export type OutboxRecord = Readonly<{
  /** Place in the queue. */
  order: number;
  id: string;
  conversation: string;
  body: string;
  /** What goes on the wire where a codec made it: kept, because a retry must carry the same content. */
  wire?: string;
  kind?: string;
  replyTo?: string;
  attachments?: Attachment[];
  ttlSeconds?: number;
  urgent?: boolean;
  /** Set where this deletes one's own message at that position instead of sending one. */
  deletes?: number;
  createdAt: number;
  state: OutboxState;
  attempts: number;
  firstSentAt?: number;
  error?: { code: string; message: string };
}>;

export type ConversationRecord = Readonly<{
  id: string;
  title?: string;
  members?: string[];
  /** The newest message's, 0 where none is known. */
  lastPosition: number;
  preview?: { position: number; from: string; body: string; kind: string; deleted?: true };
  /** How far the user has read. */
  read: number;
  unread: number;
  updatedAt: number;
  /** Up to here everything came by inbox or by pulls; a pull after a gap begins here. */
  syncedTo: number;
  /** From here on the local history has no hole; undefined where none was loaded. */
  oldest?: number;
  /** Nothing is older than `oldest`. */
  complete?: boolean;
}>;

export type ReceiptRecord = Readonly<{ conversation: string; user: string; delivered: number; read: number }>;

/** History still to be fetched after a gap or a reset. `conversation` `*` stands for all of them. */
export type PullRecord = Readonly<{ conversation: string; after: number }>;

/** Small facts by name: device, inbox cursor, counters. */
export type MetaRecord = Readonly<{ key: string; value: unknown }>;

export type Records = {
  messages: MessageRecord;
  outbox: OutboxRecord;
  conversations: ConversationRecord;
  receipts: ReceiptRecord;
  pulls: PullRecord;
  meta: MetaRecord;
};
export type TableName = keyof Records;

export type Inbox = { gen: number; acked: number };
