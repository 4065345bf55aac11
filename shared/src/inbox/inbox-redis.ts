import { randomInt } from 'node:crypto';
import { type EntryText, entryPlace, gapEntry } from '../contract/entry.ts';
import { GAP_REASONS } from '../contract/server-frames.ts';
import type { RedisStore, RedisValue, ScriptCall } from '../runtime/redis.ts';
import { groups, oneOf, text, texts, whole } from './reply.ts';
import { defineInboxScripts, type InboxLimits, type InboxScript, inboxKeys } from './scripts.ts';

/** A generation is 52 random bits: JSON and Lua numbers hold it exactly, and no store has to remember the last one. */
export const newGeneration = (): number => randomInt(1, 2 ** 48 - 1) * 16 + randomInt(16);

export type InboxEntry = { position: number; expiresAtMs: number; own: boolean; entry: EntryText };
export type LiveHint = { conn: string; slot: number; lease: string; fromSeq: number; toSeq: number };
export type Enqueued = {
  /** False where these were own copies alone, which nobody keeps: nothing is due for them. */
  kept: boolean;
  gen: number;
  /** Seq before the first entry that was added. */
  before: number;
  tail: number;
  partial: boolean;
  /** Which of the given entries were added, in order: the k-th added one has seq before + k. */
  added: boolean[];
  sessionCount: number;
  live: LiveHint[];
};

/** Entries for one connection (or one sync), as they go out. */
export type Page = {
  /** Stands before the entries, where the list no longer has what came first. `seq` of the gap = `to`. */
  gap: { from: number; to: number; entry: EntryText } | undefined;
  firstSeq: number;
  entries: EntryText[];
};
export type Released = Page & {
  conn: string;
  slot: number;
  gen: number;
  /** The backlog ends with this page: what follows is live. */
  live: boolean;
  /** Up to this seq an entry may have been sent to the device before. */
  high: number;
  tail: number;
};

/**
 * Where a device starts, as its durable row and the scripts compare it: `first`, or `after ` and partition:position, by commas, of the first
 * position in each source partition that is after its making.
 */
export type DeviceStart = string;

/** The device is not known to be durable: its row is to say `start`, which only the log can tell where it is ''. */
export type NewDevice = { is: 'new'; start: DeviceStart | ''; yieldedDevice: string | undefined };

export type ConnectReply =
  | NewDevice
  | { is: 'too-many' }
  | {
      is: 'ok' | 'partial';
      gen: number;
      acked: number;
      tail: number;
      replaced: { conn: string; slot: number } | undefined;
      poisonSeq: number | undefined;
    };
export type ReplayReply =
  | { is: 'gone' }
  | { is: 'no-device'; slot: number }
  | { is: 'partial' }
  | { is: 'page'; acked: number; page: Released };
export type AckReply =
  | { is: 'partial' }
  | { is: 'reset' }
  | { is: 'refused' }
  | { is: 'ok'; acked: number; tail: number; page: Released | undefined };
export type NackReply = AckReply | { is: 'entry'; entry: EntryText };
export type RefillReply = ReplayReply | { is: 'reset' } | { is: 'close'; slot: number };
export type SyncReply =
  | NewDevice
  | { is: 'partial' }
  | { is: 'too-many' }
  | {
      is: 'page';
      gen: number;
      acked: number;
      tail: number;
      high: number;
      reached: number;
      page: Page;
    };

/**
 * One user's inbox in Redis: `inbox:{user}` (list), `inbox:{user}:meta`, `inbox:{user}:acked` and `sessions:{user}` (hashes).
 * The scripts in lua/ are the whole of its logic, each one atomic step; this class encodes their arguments and decodes
 * their replies. Calls are made first and run together, so that a batch is one round trip:
 * `inbox.run([inbox.ackCall(…), inbox.ackCall(…)])`.
 */
export class Inbox {
  readonly store: RedisStore;
  readonly limits: InboxLimits;

  constructor(store: RedisStore, limits: InboxLimits) {
    this.store = store;
    this.limits = limits;
    defineInboxScripts(store, limits);
  }

  #call(script: InboxScript, user: string, args: (string | number)[]): ScriptCall {
    return { script: `inbox:${script}`, keys: inboxKeys(user), args };
  }

  /** @throws UnavailableError: run all of them again, each is idempotent */
  run(calls: ScriptCall[]): Promise<RedisValue[]> {
    return this.store.run(calls);
  }

  /** @param urgent whether one of them may wake the user at once */
  enqueueCall(user: string, partition: number, entries: readonly InboxEntry[], urgent = true): ScriptCall {
    const args: (string | number)[] = [newGeneration(), partition, urgent ? 1 : 0];
    for (const { position, expiresAtMs, own, entry } of entries) args.push(position, expiresAtMs, own ? 1 : 0, entry);
    return this.#call('enqueue', user, args);
  }

  /** @param row where the device's durable row says that it starts, '' before that is known */
  connectCall(
    user: string,
    device: string,
    conn: string,
    slot: number,
    lease: string,
    row: DeviceStart | '',
    maxConnections: number,
  ): ScriptCall {
    return this.#call('connect', user, [newGeneration(), device, conn, slot, lease, row, maxConnections]);
  }

  /** @param anew from the device's cursor, whatever was released on this connection before (after a reset) */
  replayCall(user: string, conn: string, anew: boolean): ScriptCall {
    return this.#call('replay', user, [conn, anew ? 1 : 0]);
  }

  ackCall(user: string, ack: { device: string; conn: string; gen: number; seq: number; position: number }): ScriptCall {
    return this.#call('ack', user, [ack.device, ack.conn, ack.gen, ack.seq, ack.position]);
  }

  /** @param mark false: only reads the entry, so that its dead letter can be written before it is marked */
  nackCall(
    user: string,
    nack: { device: string; conn: string; gen: number; seq: number; position: number },
    mark: boolean,
  ): ScriptCall {
    return this.#call('nack', user, [nack.device, nack.conn, nack.gen, nack.seq, nack.position, mark ? 1 : 0]);
  }

  /** @param sent up to where the socket was written to, of all that was released to it; undefined where nobody knows */
  disconnectCall(user: string, conn: string, sent?: { gen: number; seq: number }): ScriptCall {
    return this.#call('disconnect', user, [conn, sent?.gen ?? '', sent?.seq ?? '']);
  }

  refillCall(user: string, conn: string, gen: number, from: number): ScriptCall {
    return this.#call('refill', user, [conn, gen, from]);
  }

  /** @param row as for `connectCall` */
  syncCall(user: string, device: string, row: DeviceStart | '', limit: number): ScriptCall {
    return this.#call('sync', user, [newGeneration(), device, row, limit]);
  }

  ackIdsCall(user: string, device: string, ids: readonly { from: string; id: string }[]): ScriptCall {
    return this.#call('ack-ids', user, [device, ...ids.flatMap(({ from, id }) => [from, id])]);
  }

  /** @param gen of the connection, undefined before its welcome */
  assertCall(user: string, conn: string, gen: number | undefined): ScriptCall {
    return this.#call('assert-session', user, [conn, gen ?? '']);
  }

  messageFactsCall(user: string, conversation: string, position: number, partition: number): ScriptCall {
    return this.#call('message-facts', user, [conversation, position, partition]);
  }

  forgetDeviceCall(user: string, device: string): ScriptCall {
    return this.#call('forget-device', user, [device]);
  }

  dueCheckCall(user: string): ScriptCall {
    return this.#call('due-check', user, []);
  }

  /** @param nextPushMs where it was time to push: how long until it is again @param wentOut whether there was a device to push to */
  dueNoteCall(
    user: string,
    gen: number,
    {
      probedCursor,
      tries,
      nextPushMs,
      wentOut = false,
    }: { probedCursor: number | undefined; tries: number; nextPushMs?: number | undefined; wentOut?: boolean },
  ): ScriptCall {
    return this.#call('due-note', user, [gen, probedCursor ?? '', tries, nextPushMs ?? '', wentOut ? 1 : 0]);
  }

  /** @param marks pairs of field (device#conversation) and position that DynamoDB has now */
  flushedCall(user: string, marks: readonly string[]): ScriptCall {
    return this.#call('flushed', user, [...marks]);
  }

  /** The last entries of the list, oldest first, and whether the inbox has let go of some by its bounds. For looking, not for delivery. */
  async newest(user: string, most: number): Promise<{ elements: ListedEntry[]; over: boolean }> {
    const [list, meta] = inboxKeys(user);
    const [over, aged] = await this.store.client.hmget(meta!, 'over', 'aged');
    const texts = await this.store.client.lrange(list!, -most, -1);
    return { elements: texts.map(parseElement), over: Number(over) > 0 || Number(aged) > 0 };
  }

  /** Has the inbox rebuilt at the next look, whatever it says of itself. */
  async distrust(user: string): Promise<void> {
    const meta = inboxKeys(user)[1]!;
    if (await this.store.client.exists(meta)) await this.store.client.hset(meta, 'partial', '1');
  }

  /** Reply: the marks that acks have left, to be made durable, as pairs of field (device#conversation) and position. */
  ackedMarksCall(user: string): ScriptCall {
    return this.#call('acked-marks', user, []);
  }

  /** The same, of one user: field → position. */
  async ackedMarks(user: string): Promise<Record<string, string>> {
    return this.store.client.hgetall(inboxKeys(user)[3]!);
  }
}

// ---- elements

export type ListedEntry = {
  listedAtMs: number;
  expiresAtMs: number;
  conversation: string;
  position: number;
  entry: EntryText;
};

/** An element of the list, as the scripts write it: `<listedAtMs>,<expiresAtMs>,<partition>,<entry>`. */
function parseElement(text: string): ListedEntry {
  const [, listed, expires, entry = ''] = /^(\d+),(\d+),\d+,(.*)$/s.exec(text) ?? [];
  const { conversation, position } = entryPlace(entry) ?? { conversation: '', position: Number.NaN };
  return { listedAtMs: Number(listed), expiresAtMs: Number(expires), conversation, position, entry };
}

// ---- replies: each is checked, for what is decided by them can't be taken back

export function parseEnqueued(value: RedisValue): Enqueued {
  const [gen, before, tail, partial, added, sessionCount, ...rest] = texts(value);
  if (gen === 'none')
    return { kept: false, gen: 0, before: 0, tail: 0, partial: true, added: [], sessionCount: 0, live: [] };
  const live: LiveHint[] = groups(rest, 5).map(([conn, slot, lease, fromSeq, toSeq]) => ({
    conn: text(conn),
    slot: whole(slot),
    lease: text(lease),
    fromSeq: whole(fromSeq),
    toSeq: whole(toSeq),
  }));
  return {
    kept: true,
    gen: whole(gen),
    before: whole(before),
    tail: whole(tail),
    partial: partial === '1',
    added: [...text(added)].map((flag) => flag === '1'),
    sessionCount: whole(sessionCount),
    live,
  };
}

function parsePage(parts: string[]): Page {
  const [gapFrom, gapTo, reason, conversations, firstSeq, ...entries] = parts;
  const gap =
    text(gapFrom) === ''
      ? undefined
      : {
          from: whole(gapFrom),
          to: whole(gapTo),
          entry: gapEntry(
            whole(gapFrom),
            whole(gapTo),
            oneOf(reason, GAP_REASONS),
            text(conversations)
              .split('\n')
              .filter((c) => c !== ''),
          ),
        };
  return { gap, firstSeq: whole(firstSeq), entries };
}

function parseReleased([conn, slot, gen, mode, high, tail, ...page]: string[]): Released {
  return {
    conn: text(conn),
    slot: whole(slot),
    gen: whole(gen),
    live: mode === 'l',
    high: whole(high),
    tail: whole(tail),
    ...parsePage(page),
  };
}

function parseNew(value: RedisValue): NewDevice {
  const [, start, yielded] = texts(value);
  return { is: 'new', start: text(start), yieldedDevice: text(yielded) === '' ? undefined : yielded };
}

export function parseConnect(value: RedisValue): ConnectReply {
  const [is, gen, acked, tail, replaced, slot, poison] = texts(value);
  if (is === 'new') return parseNew(value);
  if (is === 'too-many') return { is };
  return {
    is: oneOf(is, ['ok', 'partial']),
    gen: whole(gen),
    acked: whole(acked),
    tail: whole(tail),
    replaced: text(replaced) === '' ? undefined : { conn: replaced!, slot: whole(slot) },
    poisonSeq: text(poison) === '' ? undefined : whole(poison),
  };
}

export function parseReplay(value: RedisValue): ReplayReply {
  const [is, acked, ...rest] = texts(value);
  if (is === 'page') return { is, acked: whole(acked), page: parseReleased(rest) };
  return is === 'no-device' ? { is, slot: whole(acked) } : { is: oneOf(is, ['gone', 'partial']) };
}

export function parseAck(value: RedisValue): AckReply {
  const [is, acked, tail, ...rest] = texts(value);
  if (is !== 'ok') return { is: oneOf(is, ['partial', 'reset', 'refused']) };
  return { is, acked: whole(acked), tail: whole(tail), page: rest.length > 0 ? parseReleased(rest) : undefined };
}

export function parseNack(value: RedisValue): NackReply {
  const [is, entry] = texts(value);
  return is === 'entry' ? { is, entry: text(entry) } : parseAck(value);
}

export function parseRefill(value: RedisValue): RefillReply {
  const [is, slot] = texts(value);
  if (is === 'close') return { is, slot: whole(slot) };
  if (is === 'reset') return { is };
  return parseReplay(value);
}

/** @returns the entry that turned out to be poison when this session ended, if one did */
export function parseDisconnect(value: RedisValue): { gen: number; seq: number } | undefined {
  const [gen, seq] = texts(value);
  return text(seq) === '' ? undefined : { gen: whole(gen), seq: whole(seq) };
}

export function parseSync(value: RedisValue): SyncReply {
  const [is, gen, acked, tail, high, reached, ...page] = texts(value);
  if (is === 'new') return parseNew(value);
  if (is !== 'page') return { is: oneOf(is, ['partial', 'too-many']) };
  return {
    is,
    gen: whole(gen),
    acked: whole(acked),
    tail: whole(tail),
    high: whole(high),
    reached: whole(reached),
    page: parsePage(page),
  };
}

export type AckIdsReply = { is: 'partial' } | { is: 'no-device' } | { is: 'ok'; gen: number; acked: number };

export function parseAckIds(value: RedisValue): AckIdsReply {
  const [is, gen, acked] = texts(value);
  return is === 'ok' ? { is, gen: whole(gen), acked: whole(acked) } : { is: oneOf(is, ['partial', 'no-device']) };
}

export type MessageFacts = {
  inboxed: boolean;
  sessions: number;
  pushedAtMs: number | undefined;
  deadLettered: boolean;
};

export function parseMessageFacts(value: RedisValue): MessageFacts {
  const [inboxed, count, pushedAt, dead] = texts(value);
  return {
    inboxed: inboxed === '1',
    sessions: whole(count),
    pushedAtMs: text(pushedAt) === '' ? undefined : whole(pushedAt),
    deadLettered: dead === '1',
  };
}

/** @returns the sessions that ended with the device */
export function parseForgotten(value: RedisValue): { conn: string; slot: number }[] {
  return groups(texts(value), 2).map(([conn, slot]) => ({ conn: text(conn), slot: whole(slot) }));
}

export type DueSession = { conn: string; slot: number; lease: string; device: string; cursor: number };
export type DueState =
  | { is: 'none' }
  | { is: 'partial' }
  | {
      is: 'whole';
      gen: number;
      tail: number;
      furthest: number;
      lowest: number;
      activeDevices: number;
      tries: number;
      probe: { cursor: number; atMs: number } | undefined;
      push: { pushedTail: number; nextAtMs: number; urgent: boolean };
      sessions: DueSession[];
    };

export function parseDueCheck(value: RedisValue): DueState {
  const [is, gen, tail, furthest, lowest, active, tries, probed, probedAt, pushedTail, nextPush, urgent, ...rest] =
    texts(value);
  if (is !== 'whole') return { is: oneOf(is, ['none', 'partial']) };
  const sessions: DueSession[] = groups(rest, 5).map(([conn, slot, lease, device, cursor]) => ({
    conn: text(conn),
    slot: whole(slot),
    lease: text(lease),
    device: text(device),
    cursor: whole(cursor),
  }));
  return {
    is,
    gen: whole(gen),
    tail: whole(tail),
    furthest: whole(furthest),
    lowest: whole(lowest),
    activeDevices: whole(active),
    tries: whole(tries),
    probe: text(probed) === '' ? undefined : { cursor: whole(probed), atMs: whole(probedAt) },
    push: { pushedTail: whole(pushedTail), nextAtMs: whole(nextPush), urgent: urgent === '1' },
    sessions,
  };
}
