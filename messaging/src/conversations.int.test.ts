import { randomUUID } from 'node:crypto';
import type { Group } from '@restante/shared/delivery/membership';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { Conversations } from './conversations.ts';

const dynamo = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: 'us-east-1' });
afterAll(() => dynamo.destroy());

let conversations: Conversations;
let group: Group;
beforeEach(() => {
  conversations = new Conversations(dynamo);
  group = { conversation: `grp:${randomUUID()}`, title: undefined, createdAt: 1, members: new Map() };
});

it('knows a group that is still being written when the partition is assigned anew, also once it is written', async () => {
  conversations.put(group);
  let written = () => {};
  const writing = conversations.whileWriting([group.conversation], new Promise<void>((resolve) => (written = resolve)));
  conversations.drop();
  await conversations.load([group.conversation]);
  written();
  await writing;
  expect(conversations.get(group.conversation)).toBe(group);
});

it('does not take a group that was dropped for one that never was', async () => {
  await conversations.load([group.conversation]);
  expect(conversations.get(group.conversation)).toBeUndefined();
  conversations.drop();
  expect(() => conversations.get(group.conversation)).toThrow('was dropped since it was loaded');
});
