import { randomBytes } from 'node:crypto';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { readMemberships } from '@restante/shared/inbox/conversations-dynamo';
import { type DeviceRow, makeDevices, readDevices } from '@restante/shared/inbox/devices-dynamo';
import { type Inbox, newGeneration } from '@restante/shared/inbox/inbox-redis';
import { inboxKeys, rebuildKey, stagedKey } from '@restante/shared/inbox/scripts';
import { sleep } from '@restante/shared/runtime/sleep';
import type { CommitBarrier, Cut } from './commit-barrier.ts';
import { readCursors } from './cursors-dynamo.ts';
import type { Permits } from './permits.ts';
import { type Kept, readHistory } from './rebuild-history.ts';
import type { SeenDevices } from './seen-devices-dynamo.ts';

/** How long a rebuild may hold its token without ending; another begins then, and this one's swap is refused. */
const TOKEN_MS = 60_000;
const BUSY_POLL_MS = 40;
const STAGED_TTL_MS = 10 * 60_000;
const STAGE_PAGE = 200;
/**
 * How often a rebuild is begun anew for a device that connected or was made after it was begun, as at a user's very first message. Not for
 * ever: one that was forgotten has a session for a moment longer than its row.
 */
const ATTEMPTS_WITH_ALL_CONNECTED = 3;

export type RebuildContext = {
  inbox: Inbox;
  dynamo: DynamoDBClient;
  barrier: CommitBarrier;
  partitionFor: (conversation: string) => number;
  /** For what holds a history in memory: of those that have none, many more go on at once. */
  reading: Pick<Permits, 'with'>;
  seen: Pick<SeenDevices, 'saw' | 'wrote'>;
};

/**
 * Makes a partial inbox whole again, from the history and the durable cursors, as a new generation (decision 11).
 * @returns the connections to reset, or undefined where the inbox was whole. @throws when a store is away: try again
 */
export async function rebuild(
  user: string,
  context: RebuildContext,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  const token = randomBytes(12).toString('base64url');
  for (let attempt = 1; ; ) {
    if (signal.aborted) throw new Error('stopped');
    const begun = await begin(user, token, context);
    if (begun === 'whole') return undefined;
    if (begun === 'busy') {
      await sleep(BUSY_POLL_MS, signal);
      continue;
    }
    const cut = await context.barrier.passed(signal);
    const withAllConnected = attempt++ <= ATTEMPTS_WITH_ALL_CONNECTED;
    const [rows, conversations] = await Promise.all([
      devicesOf(user, begun.came, cut, context),
      readMemberships(context.dynamo, user),
    ]);
    // One that was made meanwhile may start where the log ended after the cut: with it, from the beginning.
    if (!rows || (withAllConnected && rows.some((row) => startsAfter(row, cut)))) continue;
    const put = () => swap(user, token, begun, { cut, rows, conversations, withAllConnected }, context);
    const swapped = await (conversations.length === 0 ? put() : context.reading.with(put));
    if (swapped) return swapped;
  }
}

/** `came`: devices that connected while the inbox was partial. */
type Begun = { gen: string; base: string; store: string; marks: Map<string, number>; came: string[] };

async function begin(user: string, token: string, { inbox }: RebuildContext): Promise<Begun | 'whole' | 'busy'> {
  const reply = (await inbox.store.runOne({
    script: 'inbox:rebuild-begin',
    keys: [...inboxKeys(user), rebuildKey(user)],
    args: [newGeneration(), token, TOKEN_MS],
  })) as ['whole' | 'busy'] | ['begun', gen: string, base: string, store: string, acked: string[], came: string[]];
  if (reply[0] !== 'begun') return reply[0];
  const [, gen, base, store, acked, came] = reply;
  const marks = new Map<string, number>();
  for (let i = 0; i < acked.length; i += 2) marks.set(acked[i]!, Number(acked[i + 1]));
  return { gen, base, store, marks, came };
}

/**
 * The durable rows of the user's devices. Who came has one from here on, and is seen now, whatever the row says.
 * @returns undefined where another has made a row meanwhile: begin again
 */
async function devicesOf(
  user: string,
  came: readonly string[],
  cut: Cut,
  { dynamo, seen }: RebuildContext,
): Promise<DeviceRow[] | undefined> {
  const now = Date.now();
  const rows = await readDevices(dynamo, user);
  const known = new Set(rows.map(({ device }) => device));
  const lacking = came.filter((device) => !known.has(device));
  const made = await makeDevices(dynamo, user, lacking, rows, cut, now);
  if (!made) return undefined;
  for (const device of came) {
    if (known.has(device)) seen.saw(user, device);
    else seen.wrote(user, device);
  }
  return [...rows.map((row) => (came.includes(row.device) ? { ...row, seenAt: now } : row)), ...made];
}

/** A partition that has no cut is no part of the log any more. */
const startsAfter = ({ start }: DeviceRow, cut: Cut): boolean =>
  [...start].some(([partition, at]) => at > (cut.get(partition) ?? Number.POSITIVE_INFINITY));

type Found = { cut: Cut; rows: DeviceRow[]; conversations: { conversation: string }[]; withAllConnected: boolean };

async function swap(
  user: string,
  token: string,
  begun: Begun,
  { cut, rows, conversations, withAllConnected }: Found,
  context: RebuildContext,
): Promise<string[] | undefined> {
  const { inbox, dynamo } = context;
  // Who is in none is owed nothing, as each user at their first connection.
  const cursors = conversations.length > 0 ? await readCursors(dynamo, user) : new Map<string, number>();
  for (const [field, position] of begun.marks) cursors.set(field, Math.max(position, cursors.get(field) ?? -1));
  const devices = rows.sort((a, b) => b.seenAt - a.seenAt).slice(0, inbox.limits.maxDevices);
  const acked = (row: DeviceRow, item: Kept): boolean => {
    if (item.position <= (cursors.get(`${row.device}#${item.conversation}`) ?? -1)) return true;
    return !row.first && item.position < (row.start.get(item.partition) ?? 0);
  };
  const kept = await readHistory(
    { user, conversations, devices, cursors, cut, partitionFor: context.partitionFor, most: inbox.limits.maxEntries },
    dynamo,
  );
  const owed = kept.filter((item) => devices.length === 0 || devices.some((row) => !acked(row, item)));
  const missing = owed.splice(0, Math.max(0, owed.length - inbox.limits.maxEntries));
  const staged = stagedKey(user, token);
  await stage(staged, owed, inbox);

  const tail = missing.length + owed.length;
  const packed = devices.map((row) => {
    let cursor = missing.every((item) => acked(row, item)) ? missing.length : 0;
    if (cursor === missing.length)
      for (const item of owed)
        if (acked(row, item)) cursor++;
        else break;
    return `${row.device},${cursor},${row.seenAt},${tail},;`;
  });
  const named = [...new Set(missing.map(({ conversation }) => conversation))].slice(0, 100);
  const reply = (await inbox.store.runOne({
    script: 'inbox:rebuild-swap',
    keys: [...inboxKeys(user), rebuildKey(user), staged],
    args: [
      token,
      begun.gen,
      begun.base,
      newGeneration(),
      missing.length,
      named.map((conversation) => `${conversation}\n`).join(''),
      packed.join(''),
      begun.store,
      withAllConnected ? 1 : 0,
      cut.size,
      ...[...cut].flat(),
    ],
  })) as string[];
  return reply[0] === 'ok' ? reply.slice(2) : undefined;
}

/** In one transaction: a client that sends it again, for its answer was lost, leaves it there once. */
async function stage(key: string, kept: readonly Kept[], inbox: Inbox): Promise<void> {
  const now = Date.now();
  const steps = inbox.store.client.multi().del(key);
  for (let i = 0; i < kept.length; i += STAGE_PAGE) {
    const page = kept
      .slice(i, i + STAGE_PAGE)
      .map(({ expiresAtMs, partition, entry }) => `${now},${expiresAtMs},${partition},${entry}`);
    steps.rpush(key, ...page);
  }
  if (kept.length > 0) steps.pexpire(key, STAGED_TTL_MS);
  for (const [error] of (await steps.exec()) ?? []) if (error) throw error;
}
