import { randomUUID } from 'node:crypto';
import type { QueryCommandInput, QueryCommandOutput } from '@aws-sdk/client-dynamodb';
import { directConversation, positionOf } from '@restante/shared/contract/ids';
import { membershipItem } from '@restante/shared/inbox/conversations-dynamo';
import { entryAt, InboxRig } from '@restante/shared/inbox/test-inbox';
import { createDynamo, type Item, writeAll } from '@restante/shared/runtime/dynamo';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { missingFrom } from './owed.ts';

const rig = new InboxRig();
const dynamo = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: 'us-east-1' });
/** Items of the history that queries have given. */
let read = 0;
dynamo.middlewareStack.add(
  (next) => async (args) => {
    const result = await next(args);
    if ((args.input as QueryCommandInput).TableName === 'messages')
      read += (result.output as Partial<QueryCommandOutput>).Items?.length ?? 0;
    return result;
  },
  { step: 'initialize' },
);
beforeAll(() => rig.ready());
afterAll(async () => {
  await rig.close();
  dynamo.destroy();
});

const { signal } = new AbortController();

/** A user with one device, and this many messages of their own in each of so many conversations, of which no cursor is known. */
async function writer(conversations: number, messages: number): Promise<string> {
  const user = `w-${randomUUID()}`;
  const others = Array.from({ length: conversations }, (_, i) => `${user}-to-${i}`);
  const rows = others.flatMap((to, c) =>
    Array.from({ length: messages }, (_, i): Item => {
      const position = positionOf(1, c * messages + i);
      const [conversation, id] = [directConversation(user, to), `m-${position}`];
      const entry = entryAt(position, { from: user, to });
      return {
        ...{ conversation: { S: conversation }, position: { N: String(position) }, id: { S: id }, from: { S: user } },
        entry: { S: entry },
      };
    }),
  );
  const device: Item = {
    ...{ user: { S: user }, device: { S: 'phone' }, first: { BOOL: true }, start: { M: {} } },
    ...{ bornAt: { N: String(Date.now() - 3_600_000) }, seenAt: { N: String(Date.now()) } },
  };
  await Promise.all([
    writeAll(dynamo, 'messages', rows, signal),
    writeAll(
      dynamo,
      'memberships',
      others.map((to) => membershipItem(user, directConversation(user, to))),
      signal,
    ),
    writeAll(dynamo, 'devices', [device], signal),
  ]);
  return user;
}

it('reads a bounded part of the history, however much there is that no cursor has passed', async () => {
  const cut = new Map([[0, positionOf(2, 0)]]);
  const context = { inbox: rig.inbox, dynamo, partitionFor: () => 0 };
  for (const [conversations, messages] of [
    [40, 80],
    [1, 1_500],
  ] as const) {
    const user = await writer(conversations, messages);
    read = 0;
    expect(await missingFrom(user, cut, context)).toEqual([]);
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThanOrEqual(1_000);
  }
});
