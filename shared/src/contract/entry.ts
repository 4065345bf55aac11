import type { DeleteCommand, SendCommand } from './events.ts';
import type { GapReason } from './server-frames.ts';

/**
 * An inbox entry is the text of its frame without `seq`, `gen` and `replayed`. It is encoded once, by messaging, and
 * passed through Redis, Kafka and the gateway as it is. `t`, `position` and `conversation` come first, in this order:
 * the Lua scripts and the gateway read them from the head of the text without parsing the rest.
 */
export type EntryText = string;

/** The entry of a message. `kind` is always there; what the sender left out stays out. */
export function messageEntry(send: SendCommand, position: number, storedAt: number): EntryText {
  return JSON.stringify({
    t: 'message',
    position,
    conversation: send.conversation,
    id: send.id,
    from: send.from,
    kind: send.kind ?? 'text',
    sentAt: send.at,
    storedAt,
    replyTo: send.replyTo,
    ttlSeconds: send.ttlSeconds,
    urgent: send.urgent,
    attachments: send.attachments,
    body: send.body,
  });
}

/**
 * The entry of a deletion. Its head has its own position, by which it is acked; `target` is the deleted message's, which is what a client
 * is shown as `position`.
 */
export function deletedEntry(command: DeleteCommand, position: number, at: number): EntryText {
  const { conversation, from, position: target } = command;
  return JSON.stringify({ t: 'deleted', position, conversation, target, by: from, at });
}

/** The entry of a change of members. */
export function membersEntry(
  { conversation, from }: { conversation: string; from: string },
  { added, removed }: { added: readonly string[]; removed: readonly string[] },
  position: number,
  at: number,
): EntryText {
  return JSON.stringify({
    t: 'members',
    position,
    conversation,
    ...(added.length > 0 ? { added } : {}),
    ...(removed.length > 0 ? { removed } : {}),
    by: from,
    at,
  });
}

/** Marks the sender's own copy of a message. */
export function ownCopy(entry: EntryText): EntryText {
  return `${entry.slice(0, -1)},"self":true}`;
}

/** The position at the head of an entry, 0 for a gap that stands for several. @throws Error where the text is not an entry. */
export function entryPosition(entry: EntryText): number {
  const start = entry.indexOf('"position":');
  if (start < 0 || start > 40) {
    if (entry.startsWith('{"t":"gap"')) return 0;
    throw new Error(`not an inbox entry: ${entry.slice(0, 60)}`);
  }
  return Number.parseInt(entry.slice(start + 11, start + 28), 10);
}

const HEAD = /^\{"t":"\w+","position":(\d+),"conversation":"([^"]*)"/;

/** Where an entry stands, from its head. @returns undefined for a gap that stands for several, and what is no entry */
export function entryPlace(entry: EntryText): { conversation: string; position: number } | undefined {
  const [, position, conversation] = HEAD.exec(entry) ?? [];
  return position === undefined || conversation === undefined
    ? undefined
    : { conversation, position: Number(position) };
}

const TTL = /"ttlSeconds":(\d+)[,}]/;
const SENT_AT = /"sentAt":(\d+)[,}]/;

/** Whether an entry's own ttl has run out at `nowMs`. In a body these names have their quotes escaped. */
export function entryExpired(entry: EntryText, nowMs: number): boolean {
  const ttlSeconds = TTL.exec(entry)?.[1];
  return ttlSeconds !== undefined && Number(SENT_AT.exec(entry)?.[1]) + Number(ttlSeconds) * 1000 <= nowMs;
}

/** The frame that a device gets for an entry. `replayed` is a message's alone. */
export function entryFrame(entry: EntryText, seq: number, gen: number, replayed: boolean): string {
  const head = `{"seq":${seq},"gen":${gen},`;
  if (entry.startsWith('{"t":"message"')) return `${head}"replayed":${replayed},${entry.slice(1)}`;
  return head + shownEntry(entry).slice(1);
}

/** An entry as clients see it: a deletion names the position that it deletes. */
export function shownEntry(entry: EntryText): EntryText {
  if (!entry.startsWith('{"t":"deleted"')) return entry;
  const { target, ...deleted } = JSON.parse(entry) as { target: number };
  return JSON.stringify({ ...deleted, position: target });
}

/** A gap in the place of the entries `from`..`to`: the frame but for its `seq`, which is `to`, and its `gen`. */
export function gapEntry(from: number, to: number, reason: GapReason, conversations: readonly string[]): EntryText {
  return JSON.stringify({ t: 'gap', from, to, count: to - from + 1, reason, conversations });
}
