import { type DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import type { UserEventOf } from '@restante/shared/contract/events';
import { claimIds } from '@restante/shared/inbox/dedupe-redis';
import { dueAddCalls } from '@restante/shared/inbox/due-queue-redis';
import type { Inbox } from '@restante/shared/inbox/inbox-redis';
import type { Logger } from '@restante/shared/runtime/logger';

/** Numbers of partitions of `user_events` as sources of an inbox, apart from those of `incoming_messages` (decision 8). */
const FIRST_SOURCE = 1_000_000;
/** How long a letter that comes twice is recognised. */
const REMEMBER_SECONDS = 7 * 24 * 3600;

export type Redriven = { event: UserEventOf<'redriven'>; offset: number };
type Entry = { t: string; conversation: string; position: number; sentAt?: number; ttlSeconds?: number };
type RedriveContext = { inbox: Inbox; dynamo: DynamoDBClient; logger: Logger };

/**
 * Puts entries that an operator took out of the dead letters at the end of their users' inboxes. It goes to the user, not to the one device
 * that could not process it: the others know it by its id, as after any repetition. The offset of the event is its position, so a
 * replay of the batch adds nothing; a letter that was redriven twice is known by its claim. One that was deleted meanwhile stays so.
 * @throws when a store is away: the batch is handled again, before the next one, as the positions of a source must only grow
 */
export async function onRedriven(
  redriven: readonly Redriven[],
  partition: number,
  { inbox, dynamo, logger }: RedriveContext,
): Promise<void> {
  for (const { event, offset } of redriven) {
    const { user, letter, entry } = event;
    const { t, conversation, position, sentAt = 0, ttlSeconds } = JSON.parse(entry) as Entry;
    const claim = { sender: user, id: `redriven:${letter}`, conversation, position: offset, hash: '-' };
    const [held] = await claimIds(inbox.store, [claim], REMEMBER_SECONDS);
    if (held!.position !== offset || (t === 'message' && (await isDeleted(dynamo, conversation, position)))) {
      logger.info({ user, letter }, 'redriven before, or deleted: not delivered');
      continue;
    }
    const expiresAtMs = ttlSeconds === undefined ? 0 : sentAt + ttlSeconds * 1000;
    await inbox.run([
      inbox.enqueueCall(user, FIRST_SOURCE + partition, [{ position: offset, expiresAtMs, own: false, entry }]),
    ]);
    // Due now: the probe brings it to who is connected, a push to who is not.
    await inbox.run(dueAddCalls([{ user, atMs: Date.now() }]));
  }
}

async function isDeleted(dynamo: DynamoDBClient, conversation: string, position: number): Promise<boolean> {
  const { Item } = await dynamo.send(
    new GetItemCommand({
      TableName: 'tombstones',
      Key: { conversation: { S: conversation }, position: { N: String(position) } },
      ConsistentRead: true,
    }),
  );
  return Item !== undefined;
}
