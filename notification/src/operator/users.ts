import { type DynamoDBClient, ScanCommand, type ScanCommandInput } from '@aws-sdk/client-dynamodb';
import { readMemberships } from '@restante/shared/inbox/conversations-dynamo';
import { readDevices } from '@restante/shared/inbox/devices-dynamo';
import { dueAt } from '@restante/shared/inbox/due-queue-redis';
import type { Inbox } from '@restante/shared/inbox/inbox-redis';
import { inboxKeys } from '@restante/shared/inbox/scripts';
import type { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import { readCursors } from '../cursors-dynamo.ts';

/** Users are found by looking through devices: bounded, and the answer says where it stopped. */
const SEARCH_ROWS = 20_000;
const SEARCH_FOUND = 50;
const SEARCH_PAGE = 1_000;
const SHOWN_CURSORS = 200;

export type OperatorStores = { inbox: Inbox; dynamo: DynamoDBClient; leases: SlotLeases };

/** Users whose id has the text in it. A whole id is found however many there are. */
export async function searchUsers(
  text: string,
  { dynamo }: OperatorStores,
): Promise<{ users: string[]; more: boolean }> {
  const exact = await readDevices(dynamo, text);
  const users = new Set(exact.length > 0 ? [text] : []);
  let looked = 0;
  let from: ScanCommandInput['ExclusiveStartKey'];
  do {
    const { Items, LastEvaluatedKey } = await dynamo.send(
      new ScanCommand({
        TableName: 'devices',
        ProjectionExpression: '#u',
        FilterExpression: 'contains(#u, :text)',
        ExpressionAttributeNames: { '#u': 'user' },
        ExpressionAttributeValues: { ':text': { S: text } },
        Limit: SEARCH_PAGE,
        ExclusiveStartKey: from,
      }),
    );
    for (const item of Items ?? []) users.add(item.user?.S ?? '');
    looked += SEARCH_PAGE;
    from = LastEvaluatedKey;
  } while (from && looked < SEARCH_ROWS && users.size < SEARCH_FOUND);
  return { users: [...users].sort().slice(0, SEARCH_FOUND), more: from !== undefined || users.size > SEARCH_FOUND };
}

/** All that is known of one user, but for what is in their messages. */
export async function describeUser(user: string, { inbox, dynamo, leases }: OperatorStores) {
  const { client } = inbox.store;
  const [list, meta, sessions] = inboxKeys(user) as [string, string, string];
  const [rows, cursors, memberships, fields, open, listed, nextLookAt] = await Promise.all([
    readDevices(dynamo, user),
    readCursors(dynamo, user),
    readMemberships(dynamo, user),
    client.hgetall(meta),
    client.hgetall(sessions),
    client.llen(list),
    dueAt(inbox.store, user),
  ]);
  const inRedis = new Map((fields.devices ?? '').split(';').map((text) => [text.split(',')[0]!, text.split(',')]));
  return {
    user,
    known: rows.length > 0 || fields.gen !== undefined,
    inbox:
      fields.gen === undefined
        ? undefined
        : {
            gen: Number(fields.gen),
            base: Number(fields.base),
            tail: Number(fields.tail),
            bytes: Number(fields.bytes),
            listed,
            whole: fields.partial !== '1',
          },
    nextLookAt,
    devices: rows.map(({ device, bornAt, seenAt, first, push }) => ({
      device,
      bornAt,
      seenAt,
      first,
      // Where it goes, not the token, which would let its holder push.
      push: push?.platform,
      acked: Number(inRedis.get(device)?.[1] ?? Number.NaN),
    })),
    sessions: Object.entries(open).map(([conn, text]) => {
      const [slot = '', lease = '', device = '', mode = ''] = text.split(',');
      return { conn, slot: Number(slot), device, live: mode === 'l', alive: leases.isAlive(Number(slot), lease) };
    }),
    conversations: memberships.length,
    cursors: [...cursors].slice(0, SHOWN_CURSORS).map(([field, position]) => ({
      device: field.slice(0, field.indexOf('#')),
      conversation: field.slice(field.indexOf('#') + 1),
      position,
    })),
  };
}

/** The newest entries of an inbox, without what users wrote in them unless that is asked for. */
export async function listInbox(user: string, most: number, bodies: boolean, { inbox }: OperatorStores) {
  const { elements } = await inbox.newest(user, most);
  const tail = Number((await inbox.store.client.hget(inboxKeys(user)[1]!, 'tail')) ?? 0);
  return elements.map(({ entry, listedAtMs, expiresAtMs, position, conversation }, i) => {
    const { t, id, from, kind, sentAt, storedAt, body } = JSON.parse(entry) as Record<string, string | undefined>;
    const seq = tail - elements.length + 1 + i;
    const about = { seq, t, position, conversation, id, from, kind, sentAt, storedAt, listedAtMs, expiresAtMs };
    return { ...about, bytes: Buffer.byteLength(entry), ...(bodies ? { body } : {}) };
  });
}
