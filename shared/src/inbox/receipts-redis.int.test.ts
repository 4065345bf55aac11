import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDynamo } from '../runtime/dynamo.ts';
import { ReceiptStore } from './receipts-redis.ts';
import { InboxRig } from './test-inbox.ts';

const rig = new InboxRig();
const dynamo = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: 'us-east-1' });
const receipts = new ReceiptStore(rig.store, dynamo);
beforeAll(() => rig.ready());
afterAll(async () => {
  await rig.close();
  dynamo.destroy();
});

let conversation = '';
beforeEach(() => {
  conversation = `grp:${randomUUID()}`;
});
const move = async (user: string, kind: 'delivered' | 'read', position: number) =>
  (await rig.store.runOne(receipts.moveCall(conversation, user, kind, position))) === 1;
const of = async (user: string) => (await receipts.read(conversation)).get(user);

describe('a receipt', () => {
  it('moves forward only, for each user and kind by itself', async () => {
    expect(await move('alice', 'delivered', 10)).toBe(true);
    for (const position of [10, 9, 0]) expect(await move('alice', 'delivered', position)).toBe(false);
    expect(await move('alice', 'read', 5)).toBe(true);
    expect(await move('bob', 'delivered', 2 ** 52 + 1)).toBe(true);
    expect(await move('bob', 'delivered', 2 ** 52 + 2)).toBe(true);
    expect(await of('alice')).toMatchObject({ delivered: 10, read: 5 });
    expect(await of('bob')).toMatchObject({ delivered: 2 ** 52 + 2, read: 0 });
    expect(await of('carol')).toBeUndefined();
  });

  it('of what was read counts as delivered', async () => {
    await move('alice', 'read', 7);
    expect(await of('alice')).toMatchObject({ delivered: 7, read: 7 });
  });

  it('keeps when the last sixteen were reached, the newest first', async () => {
    for (let position = 1; position <= 20; position++) await move('alice', 'read', position);
    const { reached } = (await of('alice'))!;
    expect(reached.read.map(({ position }) => position)).toEqual(Array.from({ length: 16 }, (_, i) => 20 - i));
    expect(reached.read.every(({ atMs }, i) => i === 0 || atMs <= reached.read[i - 1]!.atMs)).toBe(true);
    expect(Math.abs(reached.read[0]!.atMs - Date.now())).toBeLessThan(3_600_000);
  });

  it('is what DynamoDB has, or Redis, whichever is further', async () => {
    for (const position of [8, 6]) await receipts.persist([{ conversation, user: 'alice', kind: 'read', position }]);
    expect(await of('alice')).toMatchObject({ delivered: 8, read: 8 });
    await move('alice', 'read', 3);
    expect(await of('alice')).toMatchObject({ read: 8 });
    await move('alice', 'delivered', 12);
    expect(await of('alice')).toMatchObject({ delivered: 12, read: 8 });
  });
});

describe('what the inbox knows of a message', () => {
  const facts = async (position: number, partition = 0) =>
    rig.one((reply) => reply, rig.inbox.messageFactsCall(rig.user, 'dm:alice:bob', position, partition));

  it('is whether it was put in, how many are connected, the last push, and whether a device refused it', async () => {
    rig.newUser();
    expect(await facts(10)).toEqual(['0', '0', '', '0']);
    const gen = await rig.wholeWith('d1', 'd2');
    await rig.enqueue([10, 20]);
    expect(await facts(20)).toEqual(['1', '2', '', '0']);
    expect(await facts(21)).toEqual(['0', '2', '', '0']);
    expect(await facts(20, 1)).toEqual(['0', '2', '', '0']);
    await rig.nack('d1', gen, 2, 20, true);
    const noted = { probedCursor: undefined, tries: 1, nextPushMs: 10 };
    // No device to push to: whoever asks is not told that somebody was woken.
    await rig.inbox.run([rig.inbox.dueNoteCall(rig.user, gen, noted)]);
    expect(await facts(20)).toEqual(['1', '2', '', '1']);
    await rig.inbox.run([rig.inbox.dueNoteCall(rig.user, gen, { ...noted, wentOut: true })]);
    expect(await facts(20)).toEqual(['1', '2', expect.stringMatching(/^\d{13}$/), '1']);
    expect(await facts(10)).toEqual(['1', '2', expect.stringMatching(/^\d{13}$/), '0']);
    expect(await rig.store.client.pttl(`inbox:{${rig.user}}:dead`)).toBeGreaterThan(3_500_000);
  });
});
