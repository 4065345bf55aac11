import { randomUUID } from 'node:crypto';
import { deletedEntry, messageEntry, ownCopy } from '@restante/shared/contract/entry';
import { directConversation, positionOf } from '@restante/shared/contract/ids';
import { memberItem, membershipItem, metaItem } from '@restante/shared/inbox/conversations-dynamo';
import { type DeviceRow, readDevices } from '@restante/shared/inbox/devices-dynamo';
import type { Inbox } from '@restante/shared/inbox/inbox-redis';
import { rebuildKey } from '@restante/shared/inbox/scripts';
import { InboxRig, inboxEntry } from '@restante/shared/inbox/test-inbox';
import { testLogger } from '@restante/shared/kafka/test-topic';
import { createDynamo, type Item, writeAll } from '@restante/shared/runtime/dynamo';
import type { ScriptCall } from '@restante/shared/runtime/redis';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommitBarrier, Cut } from './commit-barrier.ts';
import { readCursors } from './cursors-dynamo.ts';
import { Permits } from './permits.ts';
import { type RebuildContext, rebuild } from './rebuild.ts';
import { SeenDevices } from './seen-devices-dynamo.ts';

const rig = new InboxRig({ windowEntries: 1000 });
const tight = new InboxRig({ maxEntries: 4, windowEntries: 1000 });
const dynamo = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: 'us-east-1' });
const seen = new SeenDevices(dynamo, testLogger);
const common = { dynamo, seen, reading: new Permits(2) };
beforeAll(() => Promise.all([rig.ready(), tight.ready()]));
afterAll(async () => {
  await Promise.all([rig.close(), tight.close()]);
  await seen.stop();
  dynamo.destroy();
});

const NOW = Date.now();
const BORN = NOW - 3_600_000;

/** A record of the log as messaging has put it into the history, and into the inbox. */
type Logged = {
  conversation: string;
  partition: number;
  position: number;
  storedAt: number;
  from: string;
  entry: string;
  deletes?: number;
};
type Device = Omit<DeviceRow, 'push'> & { cursors: Map<string, number>; marks: Map<string, number> };
type World = {
  user: string;
  log: Logged[];
  devices: Device[];
  /** From where on, by partition, the history need not have a record: the inbox has it. */
  cut: Cut;
  group: { conversation: string; joined: number; left: number };
};

const fakeBarrier = (cut: Cut) => ({ passed: async () => cut }) as unknown as CommitBarrier;
const partitionOf = (world: World) => (conversation: string) =>
  world.log.find((one) => one.conversation === conversation)?.partition ?? 0;

async function write(world: World): Promise<void> {
  const { user, log, devices, group } = world;
  const { signal } = new AbortController();
  const below = log.filter(({ partition, position }) => position < world.cut.get(partition)!);
  const messages = below.map(
    ({ conversation, position, from, entry }): Item => ({
      conversation: { S: conversation },
      position: { N: String(position) },
      id: { S: 'id' },
      from: { S: from },
      entry: { S: entry },
    }),
  );
  const targets = new Map(below.flatMap((one) => (one.deletes === undefined ? [] : [[key(one, one.deletes), one]])));
  const tombstones = [...targets.values()].map(
    ({ conversation, deletes }): Item => ({ conversation: { S: conversation }, position: { N: String(deletes) } }),
  );
  const conversations = [...new Set(below.map(({ conversation }) => conversation))];
  const interval = { joined: group.joined, left: group.left };
  const rows = devices.map(
    ({ device, bornAt, seenAt, first, start }): Item => ({
      user: { S: user },
      device: { S: device },
      bornAt: { N: String(bornAt) },
      seenAt: { N: String(seenAt) },
      first: { BOOL: first },
      start: { M: Object.fromEntries([...start].map(([partition, at]) => [partition, { N: String(at) }])) },
    }),
  );
  const cursors = devices.flatMap(({ device, cursors: mine }) =>
    [...mine].map(
      ([conversation, position]): Item => ({
        user: { S: user },
        deviceConversation: { S: `${device}#${conversation}` },
        position: { N: String(position) },
      }),
    ),
  );
  const meta = metaItem({ conversation: group.conversation, title: undefined, createdAt: 0, members: new Map() });
  await Promise.all([
    writeAll(dynamo, 'messages', messages, signal),
    writeAll(dynamo, 'tombstones', tombstones, signal),
    writeAll(
      dynamo,
      'memberships',
      conversations.map((one) => membershipItem(user, one)),
      signal,
    ),
    writeAll(dynamo, 'conversations', [meta, memberItem(group.conversation, user, 'member', interval)], signal),
    writeAll(dynamo, 'devices', rows, signal),
    writeAll(dynamo, 'cursors', cursors, signal),
  ]);
}

/** What the user is sent of a record, if anything: own copies only with several devices, and only since there were. */
function shown(world: World, { conversation, partition, position, from, entry }: Logged): string | undefined {
  const { user, group } = world;
  if (conversation === group.conversation && (position < group.joined || position >= group.left)) return undefined;
  if (from !== user || conversation === directConversation(user, user)) return entry;
  return before(world, partition, position) > 1 ? ownCopy(entry) : undefined;
}
/** How many devices there were when a record was handled. */
const before = ({ devices }: World, partition: number, position: number): number =>
  devices.filter(({ first, start }) => first || start.get(partition)! <= position).length;
const acked = ({ first, start, cursors, marks }: Device, { conversation, partition, position }: Logged): boolean => {
  const cursor = Math.max(cursors.get(conversation) ?? -1, marks.get(conversation) ?? -1);
  return position <= cursor || (!first && position < start.get(partition)!);
};

/** The history below the cut that some device has not acked, from one device's making to the next in the order of the log's time; then what the inbox had. */
function expected(world: World): Logged[] {
  const { log, devices, cut } = world;
  const deleted = new Set(
    log.flatMap((one) => (one.deletes === undefined || above(one) ? [] : [key(one, one.deletes)])),
  );
  function above({ partition, position }: Logged): boolean {
    return position >= cut.get(partition)!;
  }
  const age = (one: Logged) => before(world, one.partition, one.position);
  const owed = log
    .filter((one) => !above(one) && !deleted.has(key(one, one.position)) && shown(world, one) !== undefined)
    .filter((one) => devices.length === 0 || devices.some((device) => !acked(device, one)))
    .sort((a, b) => age(a) - age(b) || a.storedAt - b.storedAt || a.partition - b.partition || a.position - b.position);
  return [...owed, ...log.filter((one) => above(one) && shown(world, one) !== undefined)];
}
const key = ({ conversation }: Logged, position: number) => `${conversation} ${position}`;

const record = fc.record({
  where: fc.nat({ max: 3 }),
  own: fc.boolean(),
  deletes: fc.option(fc.nat({ max: 5 }), { freq: 5 }),
  gap: fc.integer({ min: 1, max: 3 }),
});
const deviceSpec = fc.record({
  first: fc.boolean(),
  cursors: fc.array(fc.option(fc.nat({ max: 30 })), { minLength: 4, maxLength: 4 }),
  inRedis: fc.boolean(),
  /** How many positions of each partition came after the device before it was made, and before this one was. */
  after: fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 12 })),
});
const worldSpec = fc.record({
  records: fc.array(record, { maxLength: 25, size: 'max' }),
  devices: fc.array(deviceSpec, { maxLength: 3 }),
  cuts: fc.tuple(fc.nat({ max: 30 }), fc.nat({ max: 30 })),
  group: fc.tuple(fc.nat({ max: 10 }), fc.nat({ max: 30 })),
});
type WorldSpec = typeof worldSpec extends fc.Arbitrary<infer T> ? T : never;

function build({ records, devices, cuts, group }: WorldSpec): World {
  const id = randomUUID().slice(0, 12);
  const user = `alice-${id}`;
  const conversations = [
    directConversation(user, `bob-${id}`),
    `grp:g-${id}`,
    directConversation(user, user),
    directConversation(user, `carol-${id}`),
  ];
  const offsets = [0, 0];
  const log: Logged[] = [];
  const made = [0, 0];
  records.forEach(({ where, own, deletes, gap }, i) => {
    const conversation = conversations[where]!;
    const partition = where % 2;
    offsets[partition]! += gap;
    const position = positionOf(1, offsets[partition]!);
    const storedAt = BORN + i;
    const from = own || where === 2 ? user : `bob-${id}`;
    const target =
      deletes === null ? undefined : log.filter((one) => one.conversation === conversation).at(deletes)?.position;
    const at = { from, conversation, id: `message-${i}`, at: storedAt };
    const entry =
      target === undefined
        ? messageEntry({ t: 'send', ...at, body: `m${i}` }, position, storedAt)
        : deletedEntry({ t: 'delete', ...at, position: target }, position, storedAt);
    log.push({
      conversation,
      partition,
      position,
      storedAt,
      from,
      entry,
      ...(target === undefined ? {} : { deletes: target }),
    });
  });
  const cut: Cut = new Map(cuts.map((offset, partition) => [partition, positionOf(1, offset)]));
  return {
    user,
    log,
    cut,
    devices: devices.map(({ first, cursors, inRedis, after }, i) => {
      if (!first)
        after.forEach((count, partition) => {
          made[partition]! += count;
        });
      const start = new Map(first ? [] : made.map((offset, partition) => [partition, positionOf(1, offset)]));
      const positions = new Map(
        cursors.flatMap((offset, c) => (offset === null ? [] : [[conversations[c]!, positionOf(1, offset)] as const])),
      );
      const none = new Map<string, number>();
      const durable = inRedis ? none : positions;
      const marks = inRedis ? positions : none;
      return { device: `d${i}`, bornAt: BORN, seenAt: NOW - i, first, start, push: undefined, cursors: durable, marks };
    }),
    group: { conversation: `grp:g-${id}`, joined: positionOf(1, group[0]), left: positionOf(1, group[0] + group[1]) },
  };
}

/** The inbox as it is when it was lost: nothing but what was enqueued since, some of it below the cut too. */
async function enqueueSince(world: World, from: InboxRig): Promise<void> {
  from.user = world.user;
  const marks = world.devices.flatMap(({ device, marks: mine }) =>
    [...mine].flatMap(([conversation, position]) => [`${device}#${conversation}`, String(position)]),
  );
  if (marks.length > 0) await from.store.client.hset(from.keys().acked, ...marks);
  for (const one of world.log) {
    const entry = shown(world, one);
    if (entry === undefined || one.position < world.cut.get(one.partition)! - 3) continue;
    await from.enqueue([inboxEntry(one.position, { entry })], one.partition);
  }
}

const run = (world: World, on = rig, barrier = fakeBarrier(world.cut), more: Partial<RebuildContext> = {}) =>
  rebuild(
    world.user,
    { ...common, inbox: on.inbox, barrier, partitionFor: partitionOf(world), ...more },
    new AbortController().signal,
  );
type Gate = { open: () => void; opened: Promise<void> };
function gate(): Gate {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}
const entriesOf = async (of: InboxRig): Promise<string[]> =>
  (await of.store.client.lrange(of.keys().list, '0', '-1')).map((element) => element.slice(element.indexOf('{')));

/** Six records of one conversation, for a user with one device, which has acked none. */
const SIX_FOR_ONE: WorldSpec = {
  records: Array.from({ length: 6 }, () => ({ where: 0, own: false, deletes: null, gap: 1 })),
  devices: [{ first: true, cursors: [null, null, null, null], inRedis: false, after: [0, 0] }],
  cuts: [9, 9],
  group: [0, 30],
};

describe('a rebuild', () => {
  it('gives exactly what is owed, in order, and every device its place in it', async () => {
    await fc.assert(
      fc.asyncProperty(worldSpec, async (spec) => {
        const world = build(spec);
        await write(world);
        await enqueueSince(world, rig);
        expect(await run(world)).toEqual([]);
        const owed = expected(world);
        expect(await entriesOf(rig)).toEqual(owed.map((one) => shown(world, one)));
        expect(await rig.meta()).toMatchObject({ base: '0', tail: String(owed.length), partial: '0' });
        const below = owed.filter(({ partition, position }) => position < world.cut.get(partition)!);
        for (const device of world.devices) {
          const prefix = below.findIndex((one) => !acked(device, one));
          expect(await rig.cursor(device.device)).toBe(prefix === -1 ? below.length : prefix);
          // What came before it was made would come behind what it has had since.
          const given = prefix === -1 ? [] : below.slice(prefix);
          expect(given.filter((one) => !device.first && one.position < device.start.get(one.partition)!)).toEqual([]);
        }
        expect(await run(world)).toBeUndefined();
      }),
      { numRuns: 20, interruptAfterTimeLimit: 30_000, markInterruptAsFailure: false },
    );
  });

  it('counts what it gave, so that a replay of the log puts none of it in again', async () => {
    const world = build({
      records: Array.from({ length: 8 }, (_, i) => ({
        where: i % 2,
        own: false,
        deletes: null,
        gap: 1,
      })),
      devices: [{ first: true, cursors: [null, null, null, null], inRedis: false, after: [0, 0] }],
      cuts: [9, 9],
      group: [0, 30],
    });
    await write(world);
    rig.user = world.user;
    await rig.enqueue([inboxEntry(positionOf(1, 20))], 5);
    await run(world);
    const before = await rig.listed();
    for (const one of world.log) await rig.enqueue([inboxEntry(one.position, { entry: one.entry })], one.partition);
    expect(await rig.listed()).toEqual(before);
    expect(before).toHaveLength(9);
  });

  it('of more than an inbox takes keeps the newest, and shows the rest as a gap to who has not acked it', async () => {
    const world = build({
      records: Array.from({ length: 7 }, () => ({ where: 0, own: false, deletes: null, gap: 1 })),
      devices: [
        { first: true, cursors: [null, null, null, null], inRedis: false, after: [0, 0] },
        { first: true, cursors: [5, null, null, null], inRedis: true, after: [0, 0] },
      ],
      cuts: [8, 8],
      group: [0, 30],
    });
    await write(world);
    await enqueueSince(world, tight);
    await run(world, tight);
    expect(await tight.listed()).toEqual(world.log.slice(3).map(({ position }) => position));
    const synced = await tight.sync('d0');
    expect(synced).toMatchObject({ is: 'page', acked: 0, tail: 7, page: { gap: { from: 1, to: 3 }, firstSeq: 4 } });
    expect(await tight.sync('d1')).toMatchObject({ acked: 5, page: { gap: undefined, firstSeq: 6 } });
  });

  it('keeps positions in order where the clock of the log was set back', async () => {
    const world = build({
      records: Array.from({ length: 6 }, () => ({ where: 0, own: false, deletes: null, gap: 1 })),
      devices: [],
      cuts: [9, 9],
      group: [0, 30],
    });
    world.log.forEach((one, i) => {
      const storedAt = i < 3 ? one.storedAt : one.storedAt - 3_600_000;
      one.entry = one.entry.replace(/"storedAt":\d+/, `"storedAt":${storedAt}`);
    });
    await write(world);
    await enqueueSince(world, rig);
    await run(world);
    expect(await rig.listed()).toEqual(world.log.map(({ position }) => position));
  });

  it('makes the rows of those who connected while it was partial: the first, and one that starts where the log ended', async () => {
    const world = build({ records: [], devices: [], cuts: [9, 9], group: [0, 30] });
    rig.user = world.user;
    await rig.connect('d0', 'c0');
    await rig.connect('d1', 'c1');
    expect((await run(world))?.sort()).toEqual(['c0', 'c1']);
    const rows = await readDevices(dynamo, world.user);
    expect(rows.map(({ device, first }) => ({ device, first }))).toEqual([
      { device: 'd0', first: true },
      { device: 'd1', first: false },
    ]);
    expect(rows[1]!.start).toEqual(world.cut);
    // Its inbox and its row agree: nothing is left to be made.
    expect(await rig.connect('d1', 'c2', { row: '' })).toMatchObject({ is: 'ok' });
  });

  it('leaves the row of who connected as it was, and has them seen now', async () => {
    const world = build({
      records: [],
      devices: [{ first: true, cursors: [null, null, null, null], inRedis: false, after: [0, 0] }],
      cuts: [9, 9],
      group: [0, 30],
    });
    world.devices[0]!.seenAt = BORN;
    await write(world);
    rig.user = world.user;
    await rig.connect('d0', 'c0');
    expect(await run(world)).toEqual(['c0']);
    const [, , seenAt] = (await rig.meta()).devices!.split(',');
    expect(Number(seenAt)).toBeGreaterThanOrEqual(NOW);
    await seen.stop();
    expect(await readDevices(dynamo, world.user)).toMatchObject([
      { device: 'd0', bornAt: BORN, seenAt: expect.any(Number) },
    ]);
    expect((await readDevices(dynamo, world.user))[0]!.seenAt).toBeGreaterThanOrEqual(NOW);
  });

  it('begins anew where a device was made meanwhile that starts after the cut: what came between is not for it', async () => {
    const world = build({
      records: Array.from({ length: 6 }, () => ({ where: 0, own: false, deletes: null, gap: 1 })),
      devices: [
        { first: true, cursors: [null, null, null, null], inRedis: false, after: [0, 0] },
        { first: false, cursors: [null, null, null, null], inRedis: false, after: [4, 0] },
      ],
      cuts: [9, 9],
      group: [0, 30],
    });
    const [first, later] = world.devices as [Device, Device];
    await write({ ...world, devices: [first] });
    await enqueueSince(world, rig);
    const cuts = [new Map([...world.cut, [0, positionOf(1, 2)]]), world.cut];
    const barrier = {
      async passed() {
        const cut = cuts.shift();
        if (cuts.length === 1) await write({ ...world, log: [], devices: [later] });
        return cut;
      },
    } as unknown as CommitBarrier;
    expect(await run(world, rig, barrier)).toEqual([]);
    expect(cuts).toEqual([]);
    expect(await rig.cursor('d0')).toBe(0);
    expect(await rig.cursor('d1')).toBe(world.log.filter(({ position }) => position < positionOf(1, 4)).length);
  });

  it('is not mixed with another that goes on without its token, as where Redis lost all', async () => {
    const world = build(SIX_FOR_ONE);
    await write(world);
    await enqueueSince(world, rig);
    const began = gate();
    const othersStaged = gate();
    const staged = gate();
    const swapped = gate();
    const beforeSwap = (here: Gate, there: Gate, maxEntries = rig.inbox.limits.maxEntries): Inbox => {
      const runOne = async (call: ScriptCall) => {
        if (call.script === 'inbox:rebuild-swap') {
          here.open();
          await there.opened;
        }
        return rig.store.runOne(call);
      };
      const limits = { ...rig.inbox.limits, maxEntries };
      return { limits, store: { client: rig.store.client, runOne } } as unknown as Inbox;
    };
    // One, which would keep two entries, is stopped before it stages, and goes on when the other has staged and not swapped.
    const stopped = run(world, rig, undefined, {
      inbox: beforeSwap(staged, swapped, 2),
      reading: {
        with: async (work) => {
          await rig.store.client.del(rebuildKey(world.user));
          began.open();
          await othersStaged.opened;
          return work();
        },
      },
    });
    await began.opened;
    const other = { inbox: beforeSwap(othersStaged, staged) };
    expect(await run(world, rig, undefined, other)).toEqual([]);
    swapped.open();
    expect(await stopped).toBeUndefined();
    expect(await entriesOf(rig)).toEqual(expected(world).map((one) => shown(world, one)));
  });

  it('waits for the row of a device that is connected, but not for ever: it may have been forgotten', async () => {
    await rig.wholeWith('forgotten');
    const world = { ...build({ records: [], devices: [], cuts: [9, 9], group: [0, 30] }), user: rig.user };
    await rig.store.client.hset(rig.keys().meta, 'store', 'another');
    expect(await run(world)).toEqual(['c-forgotten']);
    expect(await rig.replay('c-forgotten', true)).toMatchObject({ is: 'no-device' });
  });

  it('of one inbox by several at once is done once', async () => {
    const world = build(SIX_FOR_ONE);
    await write(world);
    rig.user = world.user;
    await rig.connect('d0', 'c0');
    const results = await Promise.all([run(world), run(world), run(world)]);
    expect(results.filter((one) => one !== undefined)).toEqual([['c0']]);
    expect(await rig.listed()).toHaveLength(6);
    expect(await rig.replay('c0', true)).toMatchObject({ acked: 0, page: { firstSeq: 1, live: true, high: 6 } });
  });

  it('reads the devices and cursors that were written', async () => {
    const world = build({
      records: [{ where: 0, own: false, deletes: null, gap: 1 }],
      devices: [{ first: true, cursors: [7, null, 3, null], inRedis: false, after: [0, 0] }],
      cuts: [0, 0],
      group: [0, 30],
    });
    await write(world);
    expect(await readDevices(dynamo, world.user)).toMatchObject([{ device: 'd0', bornAt: BORN, first: true }]);
    expect([...(await readCursors(dynamo, world.user)).values()].sort()).toEqual([positionOf(1, 3), positionOf(1, 7)]);
  });
});
