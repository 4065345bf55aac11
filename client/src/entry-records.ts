import type { HistoryMessage, InboxEntry, MembersEntry, StoredFrame } from './protocol.ts';
import type { Decoded } from './steps.ts';
import type { MessageRecord, OutboxRecord } from './store/records.ts';

/** Why an entry can't be kept, or undefined where it can. */
export function problemOf(entry: InboxEntry): string | undefined {
  if (entry.t === 'gap') return undefined;
  if (typeof entry.conversation !== 'string' || entry.conversation === '') return 'no conversation';
  if (entry.t === 'members') return undefined;
  if (!Number.isSafeInteger(entry.position)) return 'no position';
  if (
    entry.t === 'message' &&
    (typeof entry.id !== 'string' || typeof entry.from !== 'string' || typeof entry.body !== 'string')
  )
    return 'no id, from or body';
  return undefined;
}

/** A change of membership, as a line between the messages. */
export function fromMembers(entry: MembersEntry, position: number): MessageRecord {
  return {
    conversation: entry.conversation,
    position,
    from: entry.by,
    id: `members-${position}`,
    body: '',
    kind: 'members',
    sentAt: entry.at,
    members: { ...(entry.added ? { added: entry.added } : {}), ...(entry.removed ? { removed: entry.removed } : {}) },
    arrival: 0,
  };
}

/** Tombstones and changes of membership are shown in a page of history by what they carry. */
export function fromHistory(
  message: HistoryMessage & { deleted?: unknown; by?: string; at?: number },
  decoded: Decoded,
): MessageRecord {
  const deleted = message.deleted === true || message.deleted instanceof Object;
  return {
    conversation: message.conversation,
    position: message.position,
    from: message.from,
    id: message.id,
    body: deleted ? '' : decoded.body,
    kind: message.kind ?? 'text',
    sentAt: message.sentAt,
    ...(message.storedAt === undefined ? {} : { storedAt: message.storedAt }),
    ...(message.replyTo === undefined ? {} : { replyTo: message.replyTo }),
    ...(message.attachments === undefined || deleted ? {} : { attachments: message.attachments }),
    ...(deleted ? { deleted: { by: message.by ?? message.from, at: message.at ?? message.sentAt } } : {}),
    ...(decoded.sealed && !deleted ? { sealed: true as const } : {}),
    ...(decoded.encrypted && !deleted ? { encrypted: true as const } : {}),
    arrival: 0,
  };
}

export function fromOutbox(queued: OutboxRecord, frame: StoredFrame, me: string): MessageRecord {
  return {
    conversation: frame.conversation,
    position: frame.position,
    from: me,
    id: queued.id,
    body: queued.body,
    kind: queued.kind ?? 'text',
    sentAt: queued.createdAt,
    storedAt: frame.at,
    ...(queued.wire === undefined ? {} : { encrypted: true as const }),
    ...(queued.replyTo === undefined ? {} : { replyTo: queued.replyTo }),
    ...(queued.attachments === undefined ? {} : { attachments: queued.attachments }),
    arrival: 0,
  };
}
