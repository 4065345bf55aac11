import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { ErrorCode } from '@restante/shared/contract/codes';
import { ownCopy } from '@restante/shared/contract/entry';
import { decodeIncoming, type IncomingCommand, TOPICS } from '@restante/shared/contract/events';
import { positionOf } from '@restante/shared/contract/ids';
import { buryRecord } from '@restante/shared/dead-letters/write-letters';
import { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import type { Claimed } from '@restante/shared/inbox/dedupe-redis';
import type { DueUser } from '@restante/shared/inbox/due-queue-redis';
import { type Inbox, type InboxEntry, parseEnqueued } from '@restante/shared/inbox/inbox-redis';
import type { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import type { LogBatch } from '@restante/shared/kafka/log-record';
import type { Logger } from '@restante/shared/runtime/logger';
import type { Conversations } from './conversations.ts';
import { claimOf, type DedupeMemory } from './dedupe-memory.ts';
import { metrics } from './events.ts';
import type { GatheredDue } from './gathered-due.ts';
import type { History, HistoryBatch } from './history-dynamo.ts';
import { findTargets, type Placed, type Ruling, rule } from './rulings.ts';

export type MessagingContext = {
  inbox: Inbox;
  dynamo: DynamoDBClient;
  history: History;
  conversations: Conversations;
  memory: DedupeMemory;
  due: GatheredDue;
  leases: SlotLeases;
  producer: BatchingProducer;
  epoch: number;
  redeliverAfterMs: number;
  /** How long a message that is not urgent may wait before its user is woken. */
  notUrgentMs: number;
  logger: Logger;
};

type Granted = Extract<Ruling, { ok: true }>;
/** What a sender is told: the result of its own record, or of the one that was first. */
type Answer = { command: IncomingCommand; position: number; conversation: string; storedAt: number };

/**
 * One batch of one partition of `incoming_messages`. Resolves once every entry is in its inbox: the next batch of the partition may
 * begin then, not before (decision 8). `durable` resolves once history, inbox and due queue have all of it: the
 * offsets may be committed then (decision 2). Rejects, or `durable` does: the whole batch is handled again, and every step
 * finds what it did before.
 */
export async function onMessages(batch: LogBatch, context: MessagingContext): Promise<{ durable: Promise<void> }> {
  const { history, conversations, dynamo } = context;
  const started = performance.now();
  metrics.batchRecords.observe(batch.records.length);
  const { placed, dead } = place(batch, context);
  const [targets] = await Promise.all([
    findTargets(placed, () => history.written(), dynamo),
    conversations.load(placed.map(({ command }) => command.conversation)),
  ]);
  const outgoing = new OutgoingBatch();
  const fresh: Granted[] = [];
  const repeated: Answer[] = [];
  for (const part of upToChanges(placed)) {
    const granted: Granted[] = [];
    for (const ruling of rule(part, conversations, targets)) {
      if (ruling.ok) granted.push(ruling);
      else reject(outgoing, ruling.placed.command, ruling.code, ruling.message);
    }
    const from = batch.records.findIndex(({ offset }) => positionOf(context.epoch, offset) === part[0]?.position);
    const claimed = await claim({ ...batch, records: batch.records.slice(from) }, granted, outgoing, context);
    for (const { group } of claimed.fresh) if (group) conversations.put(group);
    fresh.push(...claimed.fresh);
    repeated.push(...claimed.repeated);
  }

  const rows = historyBatch(fresh);
  const changed = fresh.flatMap(({ rows: members, placed: one }) => (members ? [one.command.conversation] : []));
  const stored = conversations.whileWriting(changed, history.write(rows, batch.signal));
  // Rejections are the caller's to see, through `durable`; until that is made, none may go unhandled.
  stored.catch(() => undefined);
  const due = await enqueue(batch.partition, fresh, outgoing, context);
  const queued = context.due.put(due);
  queued.catch(() => undefined);
  publish(outgoing, context);
  metrics.handleSeconds.observe((performance.now() - started) / 1000);

  const durable = Promise.all([stored, queued, ...dead]).then(() => {
    metrics.storedSeconds.observe((performance.now() - started) / 1000);
    metrics.messages.inc({ outcome: 'stored' }, fresh.length);
    const answers = new OutgoingBatch();
    for (const { placed: one } of fresh) answer(answers, { ...one, conversation: one.command.conversation });
    for (const one of repeated) answer(answers, one);
    publish(answers, context);
  });
  return { durable };
}

/** Decodes records and gives each command its position. What can't be decoded goes to the dead letters. */
function place(
  batch: LogBatch,
  { producer, epoch, logger }: MessagingContext,
): { placed: Placed[]; dead: Promise<void>[] } {
  const placed: Placed[] = [];
  const dead: Promise<void>[] = [];
  for (const record of batch.records) {
    const decoded = decodeIncoming(record.value);
    if (decoded.ok) {
      placed.push({ command: decoded.value, position: positionOf(epoch, record.offset), storedAt: record.timestamp });
      continue;
    }
    const { reason } = decoded;
    logger.error(
      { topic: batch.topic, partition: batch.partition, offset: record.offset, reason },
      'undecodable record: to the dead letters',
    );
    metrics.deadLetters.inc();
    const letter = buryRecord(producer, batch, record, reason);
    letter.catch(() => undefined);
    dead.push(letter);
  }
  return { placed, dead };
}

/** Commands in their order, in parts that end with each change of members: whether it holds is known only once it is claimed. */
function upToChanges(placed: readonly Placed[]): Placed[][] {
  const parts: Placed[][] = [[]];
  for (const one of placed) {
    parts.at(-1)!.push(one);
    if (one.command.t === 'create' || one.command.t === 'members') parts.push([]);
  }
  return parts.filter((part) => part.length > 0);
}

/**
 * Claims each (sender, id). Fresh are the records that hold their claim; a retry is answered with the first one's result, or refused where its content differs (decision 5).
 */
async function claim(
  batch: LogBatch,
  granted: readonly Granted[],
  outgoing: OutgoingBatch,
  { memory }: MessagingContext,
): Promise<{ fresh: Granted[]; repeated: Answer[] }> {
  if (granted.length === 0) return { fresh: [], repeated: [] };
  const claims = granted.map(({ placed }) => claimOf(placed.command, placed.position));
  const held = await memory.claim(batch, claims);
  const fresh: Granted[] = [];
  const repeated: Answer[] = [];
  granted.forEach((one, i) => {
    const first: Claimed = held[i]!;
    const { command, position } = one.placed;
    if (first.position === position && first.conversation === command.conversation) fresh.push(one);
    else if (first.hash === claims[i]!.hash) {
      metrics.messages.inc({ outcome: 'repeated' });
      repeated.push({ ...one.placed, position: first.position, conversation: first.conversation });
    } else reject(outgoing, command, 'duplicate_conflict', 'this id was sent before with other content');
  });
  return { fresh, repeated };
}

function historyBatch(fresh: readonly Granted[]): HistoryBatch {
  return {
    rows: fresh.map(({ placed: { command, position }, entry }) => ({
      conversation: command.conversation,
      position,
      id: command.id,
      from: command.from,
      entry,
    })),
    tombstones: fresh.flatMap(({ tombstone }) => (tombstone ? [tombstone] : [])),
    members: fresh.flatMap(({ rows }) => rows ?? []),
  };
}

/**
 * Puts the entries into every recipient's inbox, one call a user, and gathers the hints for those that are connected (decisions 6 to 8).
 * @returns the users, and when each is due for a redelivery or a push
 */
async function enqueue(
  partition: number,
  fresh: readonly Granted[],
  outgoing: OutgoingBatch,
  { inbox, leases, redeliverAfterMs, notUrgentMs }: MessagingContext,
): Promise<DueUser[]> {
  const perUser = new Map<string, { entries: InboxEntry[]; urgent: boolean }>();
  const give = (user: string, entry: InboxEntry, urgent: boolean) => {
    const given = perUser.get(user);
    if (given) {
      given.entries.push(entry);
      given.urgent ||= urgent;
    } else perUser.set(user, { entries: [entry], urgent });
  };
  for (const { placed, entry, recipients, ownCopyTo, expiresAtMs } of fresh) {
    const { command, position } = placed;
    // A tombstone and a change of members wake nobody by themselves.
    const urgent = command.t === 'send' && command.urgent !== false;
    for (const user of recipients) give(user, { position, expiresAtMs, own: false, entry }, urgent);
    // Also to who has one device: their inbox notes how far it has decided, for the next device to begin there.
    if (ownCopyTo !== undefined) give(ownCopyTo, { position, expiresAtMs, own: true, entry: ownCopy(entry) }, false);
  }
  const users = [...perUser];
  const replies = await inbox.run(
    users.map(([user, { entries, urgent }]) => inbox.enqueueCall(user, partition, entries, urgent)),
  );
  const now = Date.now();
  return users.flatMap(([user, { entries, urgent }], i) => {
    const reply = parseEnqueued(replies[i]!);
    if (!reply.kept) return [];
    const added = entries.filter((_, k) => reply.added[k]);
    metrics.entries.inc(added.length);
    let reachable = reply.sessionCount - reply.live.length;
    for (const { conn, slot, lease, fromSeq, toSeq } of reply.live) {
      // A dead gateway's session: its user has to be woken, not waited for.
      if (!leases.isAlive(slot, lease)) continue;
      reachable++;
      const page = added.slice(fromSeq - reply.before - 1, toSeq - reply.before).map(({ entry }) => entry);
      outgoing.deliver(slot, { conn, gen: reply.gen, firstSeq: fromSeq, entries: page, high: 0 });
    }
    if (reachable > 0) return { user, atMs: now + redeliverAfterMs };
    return { user, atMs: urgent ? now : now + notUrgentMs };
  });
}

function reject(outgoing: OutgoingBatch, { ret, id }: IncomingCommand, code: ErrorCode, message: string): void {
  metrics.messages.inc({ outcome: code });
  if (ret) outgoing.add(ret.slot, { t: 'rejected', conn: ret.conn, id, code, message });
}

function answer(outgoing: OutgoingBatch, { command, position, conversation, storedAt }: Answer): void {
  const { ret, id } = command;
  if (ret) outgoing.add(ret.slot, { t: 'stored', conn: ret.conn, id, conversation, position, at: storedAt });
}

/** Hints may be lost (decision 12): nobody waits for them. The producer keeps their order per gateway. */
function publish(outgoing: OutgoingBatch, { producer, logger }: MessagingContext): void {
  for (const { slot, value } of outgoing.records()) {
    producer
      .send(TOPICS.outgoing, slot, null, value)
      .catch((error: Error) => logger.warn({ slot, err: error.message }, 'hint lost'));
  }
}
