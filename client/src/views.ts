import { peerOf } from './ids.ts';
import { type MessageState, reachOf } from './message-state.ts';
import type { Attachment } from './protocol.ts';
import type { ConversationRecord, MessageRecord, OutboxRecord } from './store/records.ts';
import type { Transaction } from './store/store.ts';

/** A message as a page shows it. */
export type Message = {
  id: string;
  conversation: string;
  from: string;
  /** Sent by this client's user. */
  mine: boolean;
  body: string;
  kind: string;
  /** Milliseconds since the epoch. */
  sentAt: number;
  /** Its place in the conversation; undefined until it is stored. */
  position?: number;
  state: MessageState;
  /** Of one's own: how many of the other members have it, have read it. */
  deliveredTo?: number;
  readBy?: number;
  replyTo?: string;
  attachments?: Attachment[];
  deleted?: { by: string; at: number };
  /** Set in lines of kind `members`. */
  members?: { added?: string[]; removed?: string[] };
  /** The body could not be decrypted. */
  sealed?: true;
  /** The body was encrypted on the way. */
  encrypted?: true;
  /** Why it was refused, or why the last try failed. */
  error?: { code: string; message: string };
  /** Tries so far, while it is in the outbox. */
  attempts?: number;
  /** Its deletion is under way. */
  deleting?: true;
  /** Place in the order of arrival on this device, for `messages({ after })`; 0 where it came with the history. */
  arrival?: number;
};

export type Conversation = {
  id: string;
  title?: string;
  /** The other user, in a direct conversation. */
  peer?: string;
  /** Of a group, where known. */
  members?: string[];
  unread: number;
  /** How far the user has read. */
  read: number;
  lastPosition: number;
  preview?: ConversationRecord['preview'];
  /** Milliseconds since the epoch. */
  updatedAt: number;
  /** Everything older is here too. */
  complete: boolean;
};

const QUEUED_SHOWN = 1000;

/** The newest messages of a conversation and, after them, what waits in the outbox; oldest first. */
export async function readMessages(
  tx: Transaction,
  me: string,
  conversation: string,
  limit: number,
): Promise<Message[]> {
  const stored = (await tx.range('messages', { prefix: [conversation], reverse: true, limit })).reverse();
  const queued = await tx.range('outbox', { index: 'byConversation', prefix: [conversation], limit: QUEUED_SHOWN });
  const receipts = await tx.range('receipts', { prefix: [conversation], limit: Number.MAX_SAFE_INTEGER });
  const record = await tx.get('conversations', [conversation]);
  const peer = peerOf(conversation, me);
  const others = peer === undefined ? record?.members?.filter((user) => user !== me) : [peer];
  const deleting = new Set(queued.map((item) => item.deletes));
  const reach = (position: number) => reachOf(position, me, others, receipts);
  return [
    ...stored.map((message) => {
      const view = messageView(message, me);
      if (deleting.has(message.position)) view.deleting = true;
      return view.mine ? { ...view, ...reach(message.position) } : view;
    }),
    ...queued.filter((item) => item.deletes === undefined).map((item) => queuedView(item, me)),
  ];
}

/** What arrived after a place in the order of arrival, oldest first. */
export async function readArrivals(tx: Transaction, me: string, after: number, limit: number): Promise<Message[]> {
  return (await tx.range('messages', { index: 'byArrival', after, limit })).map((record) => messageView(record, me));
}

/** The conversations, the one with the newest message first. */
export async function readConversations(tx: Transaction, me: string, limit: number): Promise<Conversation[]> {
  const records = await tx.range('conversations', { index: 'byUpdate', reverse: true, limit });
  return records.map((record) => conversationView(record, me));
}

export async function readConversation(tx: Transaction, me: string, id: string): Promise<Conversation | undefined> {
  const record = await tx.get('conversations', [id]);
  return record === undefined ? undefined : conversationView(record, me);
}

/** All that waits to be sent, or was refused, in the order of sending. */
export async function readOutbox(tx: Transaction, me: string, limit: number): Promise<Message[]> {
  return (await tx.range('outbox', { limit }))
    .filter((item) => item.deletes === undefined)
    .map((item) => queuedView(item, me));
}

function messageView(record: MessageRecord, me: string): Message {
  const { storedAt: _, ...rest } = record;
  const mine = record.from === me;
  return { ...rest, mine, state: mine ? 'stored' : 'received' };
}

export function queuedView(item: OutboxRecord, me: string): Message {
  const { id, conversation, body, state, attempts, error, replyTo, attachments } = item;
  return {
    ...{
      id,
      conversation,
      body,
      state,
      attempts,
      from: me,
      mine: true,
      kind: item.kind ?? 'text',
      sentAt: item.createdAt,
    },
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(attachments === undefined ? {} : { attachments }),
    ...(error === undefined ? {} : { error }),
  };
}

function conversationView(record: ConversationRecord, me: string): Conversation {
  const peer = peerOf(record.id, me);
  const { id, unread, read, lastPosition, updatedAt } = record;
  return {
    ...{ id, unread, read, lastPosition, updatedAt, complete: record.complete === true },
    ...(record.title === undefined ? {} : { title: record.title }),
    ...(peer === undefined ? {} : { peer }),
    ...(record.members === undefined ? {} : { members: record.members }),
    ...(record.preview === undefined ? {} : { preview: record.preview }),
  };
}
