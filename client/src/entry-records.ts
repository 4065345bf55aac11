import type { HistoryItem, InboxEntry, MembersEntry, StoredFrame, Tombstone } from './protocol.ts';
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

/** A message, or what is left of it, as a page of history or the inbox brings it. */
export function fromHistory(item: HistoryItem, decoded: Decoded): MessageRecord {
  if (item.t === 'deleted') return fromTombstone(item);
  return {
    conversation: item.conversation,
    position: item.position,
    from: item.from,
    id: item.id,
    body: decoded.body,
    kind: item.kind ?? 'text',
    sentAt: item.sentAt,
    ...(item.storedAt === undefined ? {} : { storedAt: item.storedAt }),
    ...(item.replyTo === undefined ? {} : { replyTo: item.replyTo }),
    ...(item.attachments === undefined ? {} : { attachments: item.attachments }),
    ...(decoded.sealed ? { sealed: true as const } : {}),
    ...(decoded.encrypted ? { encrypted: true as const } : {}),
    arrival: 0,
  };
}

/** Nobody deletes what is another's: who deleted it wrote it. Its id is gone with it. */
function fromTombstone({ conversation, position, by, at }: Tombstone): MessageRecord {
  const id = `deleted-${position}`;
  return { conversation, position, from: by, id, body: '', kind: 'text', sentAt: at, deleted: { by, at }, arrival: 0 };
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
