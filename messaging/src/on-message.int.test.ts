import { QueryCommand } from '@aws-sdk/client-dynamodb';
import { decodeDeadLetter, type IncomingCommand, TOPICS } from '@restante/shared/contract/events';
import { directConversation, positionOf } from '@restante/shared/contract/ids';
import { turnKeys } from '@restante/shared/inbox/claim-keys';
import { claimIds } from '@restante/shared/inbox/dedupe-redis';
import { dueShard } from '@restante/shared/inbox/due-queue-redis';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { testKafka, testLogger, testTopic } from '@restante/shared/kafka/test-topic';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimOf } from './dedupe-memory.ts';
import { onMessages } from './on-message.ts';
import { EPOCH, MessagingRig, mark, newName, opsOf, sendOf, TestPartition } from './test-messaging.ts';

const SLOT = 11;
const first = new MessagingRig();
/** The owner that has the partition next, or still has it where the first one does not know yet. */
const second = new MessagingRig();
const { rig } = first;
beforeAll(() => Promise.all([first.start(), second.start()]));
afterAll(() => Promise.all([first.stop(), second.stop()]));

let log: TestPartition;
let alice: string;
let bob: string;
let partition = 100;
beforeEach(async () => {
  // Of its own: what Redis knows of a partition's ids is kept by its number.
  log = new TestPartition(partition++);
  await first.remember(log.partition);
  [alice, bob] = [newName('alice'), newName('bob')];
  await userWith(alice);
});

/** The inbox of a user, whole, with live sessions of these devices. */
async function userWith(user: string, ...devices: string[]): Promise<void> {
  rig.user = user;
  if ((await rig.dueCheck()).is !== 'whole') await rig.rebuild();
  for (const device of devices) await rig.live(device, `${user}-${device}`);
}
async function handle(owner: MessagingRig, batch: Parameters<typeof onMessages>[0]): Promise<void> {
  const { durable } = await onMessages(batch, owner.context);
  await durable;
}
async function history(conversation = directConversation(alice, bob)) {
  const { Items } = await first.dynamo.send(
    new QueryCommand({
      TableName: 'messages',
      KeyConditionExpression: 'conversation = :c',
      ExpressionAttributeValues: { ':c': { S: conversation } },
      ConsistentRead: true,
    }),
  );
  return (Items ?? []).map(({ position, id, from, entry }) => {
    const { body } = JSON.parse(entry!.S!) as { body: string };
    return { position: Number(position!.N), id: id!.S, from: from!.S, body };
  });
}
const listedOf = (user: string) => {
  rig.user = user;
  return rig.listed();
};
const ret = { conn: 'sender', slot: SLOT };

describe('a batch', () => {
  it('is in the history, in the inboxes and in the due queue once it is durable', async () => {
    const carol = newName('carol');
    const sends = [sendOf(bob, alice, { body: 'one' }), sendOf(bob, carol), sendOf(carol, alice, { ttlSeconds: 60 })];
    const before = Date.now();
    await handle(first, log.batch(sends));
    expect(await history()).toEqual([{ position: positionOf(EPOCH, 0), id: sends[0]!.id, from: bob, body: 'one' }]);
    expect(await listedOf(alice)).toEqual([0, 2].map((offset) => positionOf(EPOCH, offset)));
    const elements = await rig.store.client.lrange(rig.keys().list, '0', '-1');
    expect(elements.map((element) => element.split(',').slice(1, 3))).toEqual([
      ['0', String(log.partition)],
      [String(sends[2]!.at + 60_000), String(log.partition)],
    ]);
    // Carol has no inbox yet: partial, and due at once, so that it is rebuilt.
    expect(await listedOf(carol)).toEqual([1, 2].map((offset) => positionOf(EPOCH, offset)));
    for (const user of [alice, carol]) {
      const at = Number(await rig.store.client.zscore(`due:${dueShard(user)}`, user));
      expect(at).toBeGreaterThanOrEqual(before);
      expect(at).toBeLessThanOrEqual(Date.now());
    }
    const { Items } = await first.dynamo.send(
      new QueryCommand({
        TableName: 'memberships',
        KeyConditionExpression: '#u = :u',
        ExpressionAttributeNames: { '#u': 'user' },
        ExpressionAttributeValues: { ':u': { S: carol } },
      }),
    );
    expect(Items!.map((item) => item.conversation!.S).sort()).toEqual(
      [directConversation(bob, carol), directConversation(alice, carol)].sort(),
    );
  });

  it('goes to live sessions, and tells the sender where it is stored, after that', async () => {
    await userWith(alice, 'd1');
    const outgoing = await mark(TOPICS.outgoing, SLOT);
    const toSession = await mark(TOPICS.outgoing, 1);
    const sends = [sendOf(bob, alice, { ret }), sendOf(bob, alice)];
    const before = Date.now();
    await handle(first, log.batch(sends));
    await first.producer.send(TOPICS.outgoing, SLOT, null, '[]');
    await first.producer.send(TOPICS.outgoing, 1, null, '[]');
    expect(opsOf(await outgoing.read())).toEqual([
      {
        t: 'stored',
        conn: 'sender',
        id: sends[0]!.id,
        conversation: directConversation(alice, bob),
        position: positionOf(EPOCH, 0),
        at: 1_700_000_000_001,
      },
    ]);
    const hints = opsOf(await toSession.read()).filter(({ conn }) => conn === `${alice}-d1`);
    expect(hints).toMatchObject([{ t: 'deliver', q: 1, e: [0, 1], r: 0 }]);
    const at = Number(await rig.store.client.zscore(`due:${dueShard(alice)}`, alice));
    expect(at).toBeGreaterThanOrEqual(before + first.context.redeliverAfterMs);
  });

  it("puts the sender's own copies into the sender's inbox where there are two devices", async () => {
    await userWith(bob, 'd1', 'd2');
    await handle(first, log.batch([sendOf(bob, alice), sendOf(bob, bob)]));
    expect(await listedOf(bob)).toEqual([0, 1].map((offset) => positionOf(EPOCH, offset)));
    const elements = await rig.store.client.lrange(rig.keys().list, '0', '-1');
    expect(elements.map((element) => element.endsWith(',"self":true}'))).toEqual([true, false]);
  });
});

describe('a group', () => {
  it('gives who leaves it the change by which they leave, and nothing that is sent after, by whoever owns the partition next', async () => {
    const conversation = `grp:${newName('g')}`;
    const by = { from: alice, conversation, at: Date.now() };
    await userWith(bob);
    await handle(
      first,
      log.batch([
        { t: 'create', ...by, id: newName('create'), members: [bob] },
        { ...sendOf(alice, bob), conversation },
        { t: 'members', ...by, id: newName('leave'), add: [], remove: [bob] },
        { ...sendOf(alice, bob), conversation },
      ]),
    );
    await handle(second, log.batch([{ ...sendOf(alice, bob), conversation }]));
    expect(await listedOf(bob)).toEqual([0, 1, 2].map((offset) => positionOf(EPOCH, offset)));
  });
});

describe('a change of members that is sent again', () => {
  it('changes nothing, whatever was changed since', async () => {
    const conversation = `grp:${newName('g')}`;
    const by = { from: alice, conversation, at: Date.now() };
    await userWith(bob);
    const add: IncomingCommand = { t: 'members', ...by, id: newName('add'), add: [bob], remove: [] };
    await handle(
      first,
      log.batch([
        { t: 'create', ...by, id: newName('create'), members: [] },
        add,
        { t: 'members', ...by, id: newName('remove'), add: [], remove: [bob] },
      ]),
    );
    await handle(first, log.batch([add, { ...sendOf(alice, bob), conversation }]));
    expect(await listedOf(bob)).toEqual([1, 2].map((offset) => positionOf(EPOCH, offset)));
  });
});

describe('a batch that is handled again', () => {
  const sends = () => Array.from({ length: 30 }, (_, i) => sendOf(bob, alice, { body: `m${i}` }));
  const all = Array.from({ length: 30 }, (_, offset) => positionOf(EPOCH, offset));

  it('is stored once and put in once', async () => {
    const batch = log.batch(sends());
    await handle(first, batch);
    await handle(first, batch);
    await handle(second, batch);
    expect(await listedOf(alice)).toEqual(all);
    expect((await history()).map(({ position }) => position)).toEqual(all);
  });

  it('is so where two owners handle it at once', async () => {
    const batch = log.batch(sends());
    const tail = { ...batch, records: batch.records.slice(10) };
    await Promise.all([handle(first, batch), handle(second, batch), handle(second, tail), handle(first, batch)]);
    const listed = await listedOf(alice);
    expect([...listed].sort((a, b) => a - b)).toEqual(all);
    expect(new Set(listed).size).toBe(30);
    expect((await history()).map(({ body }) => body)).toEqual(all.map((_, i) => `m${i}`));
  });

  it('is so where the next batch was enqueued before this one was durable', async () => {
    const [one, two] = [log.batch(sends()), log.batch([sendOf(bob, alice)])];
    const { durable } = await onMessages(one, first.context);
    const next = await onMessages(two, first.context);
    await Promise.all([durable, next.durable]);
    await handle(second, one);
    await handle(second, two);
    expect(await listedOf(alice)).toEqual([...all, positionOf(EPOCH, 30)]);
  });
});

describe('a sender who sends again', () => {
  it('is answered with the first result, also from another batch, and stores nothing more', async () => {
    const send = sendOf(bob, alice, { ret });
    const batch = log.batch([send, { ...send, at: send.at + 1 }, sendOf(bob, alice)]);
    const outgoing = await mark(TOPICS.outgoing, SLOT);
    await handle(first, batch);
    await handle(second, log.batch([{ ...send, ret: { conn: 'other', slot: SLOT } }]));
    await first.producer.send(TOPICS.outgoing, SLOT, null, '[]');
    await second.producer.send(TOPICS.outgoing, SLOT, null, '[]');
    const answers = opsOf(await outgoing.read());
    expect(answers.map((op) => [op.t, op.conn, 'position' in op && op.position])).toEqual([
      ['stored', 'sender', positionOf(EPOCH, 0)],
      ['stored', 'sender', positionOf(EPOCH, 0)],
      ['stored', 'other', positionOf(EPOCH, 0)],
    ]);
    expect(await history()).toHaveLength(2);
    expect(await listedOf(alice)).toHaveLength(2);
  });

  it('is heard once, where an owner that was stopped has left the claim of the second record of the two', async () => {
    const send = sendOf(bob, alice, { ret });
    const [one, two] = log.batch([send, send]).records;
    await claimIds(rig.store, [claimOf(send, positionOf(EPOCH, two!.offset))], 600);
    const outgoing = await mark(TOPICS.outgoing, SLOT);
    for (const record of [one!, two!]) await handle(second, { ...log.batch([]), records: [record] });
    await second.producer.send(TOPICS.outgoing, SLOT, null, '[]');
    const first = positionOf(EPOCH, one!.offset);
    const answers = opsOf(await outgoing.read());
    expect(answers.map((op) => [op.t, 'position' in op && op.position])).toEqual([
      ['stored', first],
      ['stored', first],
    ]);
    expect(await history()).toHaveLength(1);
    expect(await listedOf(alice)).toHaveLength(1);
  });

  it('is heard once they are a member, though Redis has forgotten that they were refused before', async () => {
    const topic = await testTopic(testKafka(), 1);
    const conversation = `grp:${newName('g')}`;
    const by = { from: alice, conversation, at: Date.now() };
    const send = { ...sendOf(bob, alice), conversation };
    const commands: IncomingCommand[] = [
      { t: 'create', ...by, id: newName('create'), members: [] },
      send,
      { t: 'members', ...by, id: newName('add'), add: [bob], remove: [] },
      send,
    ];
    const producer = new BatchingProducer({ kafka: testKafka(), logger: testLogger, topics: [topic] });
    await producer.start();
    for (const command of commands) await producer.send(topic, 0, null, JSON.stringify(command));
    await producer.stop();
    const owner = new MessagingRig({ topic });
    await owner.start();
    const batch = log.batch(commands);
    const part = (from: number, to: number) => ({ ...batch, topic, records: batch.records.slice(from, to) });
    await handle(owner, part(0, 3));
    const mark = 'claims:0:{0}';
    await rig.store.client.del(mark);
    await handle(owner, { ...part(3, 4), partition: 0 });
    expect((await history(conversation)).map(({ position, id }) => [position, id])).toContainEqual([
      positionOf(EPOCH, 3),
      send.id,
    ]);
    await rig.store.client.del(mark);
    await owner.stop();
  });

  it('gets a conflict where the content, or the conversation, is another', async () => {
    const send = sendOf(bob, alice, { ret });
    const others: IncomingCommand[] = [
      { ...send, body: 'other' },
      { ...send, conversation: directConversation(bob, 'dave') },
      { ...send, ttlSeconds: 60 },
    ];
    const outgoing = await mark(TOPICS.outgoing, SLOT);
    await handle(first, log.batch([send, ...others]));
    await first.producer.send(TOPICS.outgoing, SLOT, null, '[]');
    const answers = opsOf(await outgoing.read()).map((op) => `${op.t} ${'code' in op ? op.code : ''}`.trim());
    expect(answers.sort()).toEqual([
      'rejected duplicate_conflict',
      'rejected duplicate_conflict',
      'rejected duplicate_conflict',
      'stored',
    ]);
    expect(await listedOf(alice)).toHaveLength(1);
  });

  it.each([
    ['everything', (mark: string) => rig.store.client.del(mark)],
    ['its last second', (mark: string) => rig.store.client.set(mark, 'its former self')],
  ])('is known also after Redis has lost %s, for the log has not', async (_, lose) => {
    const topic = await testTopic(testKafka(), 1);
    const producer = new BatchingProducer({ kafka: testKafka(), logger: testLogger, topics: [topic] });
    await producer.start();
    const send = sendOf(bob, alice, { ret });
    await producer.send(topic, 0, null, JSON.stringify(send));
    await producer.send(topic, 0, null, 'garbage');
    await producer.stop();
    const owner = new MessagingRig({ topic });
    await owner.start();
    const batch = log.batch([send, Buffer.from('garbage'), send, { ...send, body: 'other' }]);
    const part = (from: number, to: number) => ({ ...batch, topic, records: batch.records.slice(from, to) });
    await handle(owner, part(0, 2));
    const { client } = rig.store;
    await client.del(turnKeys(bob));
    await lose(`claims:${log.partition}:{0}`);
    await lose('claims:0:{0}');
    const outgoing = await mark(TOPICS.outgoing, SLOT);
    // The records' own topic has one partition; its marks are kept by the number that the batch names.
    const again = part(2, 4);
    await expect(
      onMessages({ ...again, partition: 0 }, owner.context).then(({ durable }) => durable),
    ).resolves.toBeUndefined();
    await owner.producer.send(TOPICS.outgoing, SLOT, null, '[]');
    const answers = opsOf(await outgoing.read());
    expect(answers.map((op) => `${op.t} ${'position' in op ? op.position : ''}`.trim()).sort()).toEqual([
      'rejected',
      `stored ${positionOf(EPOCH, 0)}`,
    ]);
    expect(await history()).toHaveLength(1);
    await client.del('claims:0:{0}');
    await owner.stop();
  });
});

describe('a record that can not be processed', () => {
  it('goes to the dead letters with all that it was, and the others are stored', async () => {
    const letters = await mark(TOPICS.deadLetters, 0);
    const bytes = [
      Buffer.from('garbage'),
      Buffer.from([0xff, 0x00]),
      Buffer.from(JSON.stringify({ t: 'send', from: 'x' })),
    ];
    const batch = log.batch([sendOf(bob, alice), ...bytes, sendOf(bob, alice)]);
    batch.records.push({ ...batch.records[0]!, offset: 5, value: null });
    await handle(first, batch);
    expect(await listedOf(alice)).toEqual([0, 4].map((offset) => positionOf(EPOCH, offset)));
    const read = (await letters.read()).map((value) => decodeDeadLetter(Buffer.from(value)));
    const mine = read.flatMap((one) => (one.ok && one.value.partition === log.partition ? [one.value] : []));
    expect(mine.map(({ offset, topic, valueBase64 }) => [offset, topic, valueBase64])).toEqual([
      ['1', TOPICS.incoming, bytes[0]!.toString('base64')],
      ['2', TOPICS.incoming, bytes[1]!.toString('base64')],
      ['3', TOPICS.incoming, bytes[2]!.toString('base64')],
      ['5', TOPICS.incoming, null],
    ]);
    expect(mine.map(({ reason }) => reason.length > 0)).toEqual([true, true, true, true]);
  });
});
