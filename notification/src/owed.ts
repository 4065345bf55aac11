import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { readMemberships } from '@restante/shared/inbox/conversations-dynamo';
import { readDevices } from '@restante/shared/inbox/devices-dynamo';
import type { Inbox } from '@restante/shared/inbox/inbox-redis';
import type { Cut } from './commit-barrier.ts';
import { readCursors } from './cursors-dynamo.ts';
import { type Kept, readHistory } from './rebuild-history.ts';

/**
 * What one look may read at most: messages, the newest of some conversations of a user, and the newest entries of the inbox. Of one that
 * no cursor is known for, as of a sender with one device, nothing tells how much of it can be owed.
 */
const MOST_CONVERSATIONS = 20;
const MOST_MESSAGES = 1_000;
const MOST_ENTRIES = 2_000;
/** Clocks differ, and a device is made a moment before its first welcome. */
const SLACK_MS = 10 * 60_000;

export type OwedContext = {
  inbox: Inbox;
  dynamo: DynamoDBClient;
  partitionFor: (conversation: string) => number;
};

/**
 * Positions that the history says are owed to a user and that their inbox does not have. Stricter than a rebuild, which gives in doubt:
 * here doubt is no finding. Below the cut only, where messaging has done all it does.
 *
 * The order of the reads is what makes it right: the list first, then the marks of acks, then durable cursors. Whatever was trimmed
 * from the list before it was read has left a mark before that, and a mark goes only once its cursor is durable.
 */
export async function missingFrom(user: string, cut: Cut, context: OwedContext): Promise<Kept[]> {
  const { inbox, dynamo, partitionFor } = context;
  const { list, since } = await readList(user, inbox);
  const marks = await inbox.ackedMarks(user);
  const [devices, cursors, memberships] = await Promise.all([
    readDevices(dynamo, user),
    readCursors(dynamo, user),
    readMemberships(dynamo, user),
  ]);
  for (const [field, position] of Object.entries(marks))
    cursors.set(field, Math.max(Number(position), cursors.get(field) ?? -1));
  const now = Date.now();
  const active = devices.filter(({ seenAt }) => seenAt > now - inbox.limits.deviceRetentionSeconds * 1000 + SLACK_MS);
  if (active.length === 0) return [];
  const conversations = some(memberships);
  const most = Math.floor(MOST_MESSAGES / Math.max(1, conversations.length));
  const history = await readHistory(
    { user, conversations, devices: active, cursors, cut, partitionFor, most, pageItems: most },
    dynamo,
  );
  const kept = Math.max(since, now - inbox.limits.retentionSeconds * 1000 + SLACK_MS);
  return history.filter((item) => {
    const { conversation, partition, position, storedAt, entry } = item;
    if (list.has(`${conversation} ${position}`) || storedAt <= kept) return false;
    // Whether the sender had a second device when it was sent is not on record.
    if (entry.endsWith('"self":true}')) return false;
    return active.some(({ device, first, bornAt, start }) => {
      const cursor = cursors.get(`${device}#${conversation}`);
      if (cursor !== undefined) return position > cursor && position >= (start.get(partition) ?? 0);
      return first || (position >= (start.get(partition) ?? 0) && storedAt > bornAt + SLACK_MS);
    });
  });
}

/** What the inbox has, and the time before which it may have let go of entries by its own bounds. */
async function readList(user: string, inbox: Inbox): Promise<{ list: Set<string>; since: number }> {
  const { elements, over } = await inbox.newest(user, MOST_ENTRIES);
  const list = new Set(elements.map(({ conversation, position }) => `${conversation} ${position}`));
  const cut = over || elements.length === MOST_ENTRIES;
  return { list, since: cut ? (elements[0]?.listedAtMs ?? 0) : 0 };
}

/** Others at each look, so that all have their turn. */
function some<T>(items: readonly T[]): readonly T[] {
  if (items.length <= MOST_CONVERSATIONS) return items;
  const start = Math.floor(Math.random() * items.length);
  return [...items.slice(start), ...items.slice(0, start)].slice(0, MOST_CONVERSATIONS);
}
