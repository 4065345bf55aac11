import { messageEntry, ownCopy } from '@restante/shared/contract/entry';
import { decodeIncoming, type SendCommand, TOPICS } from '@restante/shared/contract/events';
import { parseConversation, positionOf } from '@restante/shared/contract/ids';
import { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import type { Claimed } from '@restante/shared/inbox/dedupe-redis';
import { type DueUser, dueAddCalls } from '@restante/shared/inbox/due-queue-redis';
import { type Inbox, type InboxEntry, parseEnqueued } from '@restante/shared/inbox/inbox-redis';
import type { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import type { LogBatch } from '@restante/shared/kafka/log-record';
import type { Logger } from '@restante/shared/runtime/logger';
import { deadLetter } from './dead-letters.ts';
import { claimOf, type DedupeMemory } from './dedupe-memory.ts';
import { metrics } from './events.ts';
import type { History, HistoryRow } from './history-dynamo.ts';

export type MessagingContext = {
  inbox: Inbox;
  history: History;
  memory: DedupeMemory;
  leases: SlotLeases;
  producer: BatchingProducer;
  epoch: number;
  redeliverAfterMs: number;
  logger: Logger;
};

/** A command at its place in the log. */
type Placed = { command: SendCommand; position: number; storedAt: number };
/** What a sender is told: the result of its own record, or of the one that was first. */
type Answer = { command: SendCommand; position: number; conversation: string; storedAt: number };

/**
 * One batch of one partition of `incoming_messages`. Resolves once every entry is in its inbox: the next batch of the partition may
 * begin then, not before (decision 8). `durable` resolves once history, inbox and due queue have all of it: the
 * offsets may be committed then (decision 2). Rejects, or `durable` does: the whole batch is handled again, and every step
 * finds what it did before.
 */
export async function onMessages(batch: LogBatch, context: MessagingContext): Promise<{ durable: Promise<void> }> {
  const started = performance.now();
  metrics.batchRecords.observe(batch.records.length);
  const { placed, dead } = place(batch, context);
  const outgoing = new OutgoingBatch();
  const { fresh, repeated, senders } = await claim(batch, placed, outgoing, context);

  const rows = fresh.map(historyRow);
  const stored = context.history.write(
    rows.map(({ row }) => row),
    batch.signal,
  );
  // Rejections are the caller's to see, through `durable`; until that is made, none may go unhandled.
  stored.catch(() => undefined);
  const due = await enqueue(batch.partition, rows, senders, outgoing, context);
  publish(outgoing, context);
  metrics.handleSeconds.observe((performance.now() - started) / 1000);

  const durable = Promise.all([stored, context.inbox.run(dueAddCalls(due)), ...dead]).then(() => {
    metrics.storedSeconds.observe((performance.now() - started) / 1000);
    metrics.messages.inc({ outcome: 'stored' }, fresh.length);
    const answers = new OutgoingBatch();
    for (const { command, position, storedAt } of fresh)
      answer(answers, { command, position, conversation: command.conversation, storedAt });
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
    if (decoded.ok && decoded.value.t === 'send') {
      placed.push({ command: decoded.value, position: positionOf(epoch, record.offset), storedAt: record.timestamp });
      continue;
    }
    const reason = decoded.ok ? `${decoded.value.t} is not served yet` : decoded.reason;
    logger.error(
      { topic: batch.topic, partition: batch.partition, offset: record.offset, reason },
      'undecodable record: to the dead letters',
    );
    dead.push(deadLetter(producer, batch.topic, batch.partition, record, reason));
  }
  return { placed, dead };
}

/**
 * Claims each (sender, id), and asks in the same round trip which senders have more than one device. Fresh are the records that hold
 * their claim; a retry is answered with the first one's result, or refused where its content differs (decision 5).
 */
async function claim(
  batch: LogBatch,
  placed: readonly Placed[],
  outgoing: OutgoingBatch,
  { inbox, memory }: MessagingContext,
) {
  const claims = placed.map(({ command, position }) => claimOf(command, position));
  const users = [...new Set(placed.map(({ command }) => command.from))];
  const [held, devices] = await Promise.all([
    memory.claim(batch, claims),
    inbox.run(users.map((user) => inbox.activeDevicesCall(user))),
  ]);
  const senders = new Set(users.filter((_, i) => Number(devices[i]) > 1));
  const fresh: Placed[] = [];
  const repeated: Answer[] = [];
  placed.forEach((one, i) => {
    const first: Claimed = held[i]!;
    if (first.position === one.position && first.conversation === one.command.conversation) fresh.push(one);
    else if (first.hash === claims[i]!.hash) {
      metrics.messages.inc({ outcome: 'repeated' });
      repeated.push({ ...one, position: first.position, conversation: first.conversation });
    } else {
      metrics.messages.inc({ outcome: 'duplicate_conflict' });
      const { id, ret } = one.command;
      if (ret)
        outgoing.add(ret.slot, {
          t: 'rejected',
          conn: ret.conn,
          id,
          code: 'duplicate_conflict',
          message: 'this id was sent before with other content',
        });
    }
  });
  return { fresh, repeated, senders };
}

type Row = { row: HistoryRow; command: SendCommand };

function historyRow({ command, position, storedAt }: Placed): Row {
  const { conversation, id, from } = command;
  return { row: { conversation, position, id, from, entry: messageEntry(command, position, storedAt) }, command };
}

/**
 * Puts the entries into every recipient's inbox, one call a user, and gathers the hints for those that are connected (decisions 6 to 8).
 * @returns the users, and when each is due for a redelivery or a push
 */
async function enqueue(
  partition: number,
  rows: readonly Row[],
  senders: ReadonlySet<string>,
  outgoing: OutgoingBatch,
  { inbox, leases, redeliverAfterMs }: MessagingContext,
): Promise<DueUser[]> {
  const perUser = new Map<string, InboxEntry[]>();
  const give = (user: string, entry: InboxEntry) => {
    const list = perUser.get(user);
    if (list) list.push(entry);
    else perUser.set(user, [entry]);
  };
  for (const { row, command } of rows) {
    const expiresAtMs = command.ttlSeconds === undefined ? 0 : command.at + command.ttlSeconds * 1000;
    const entry = { position: row.position, expiresAtMs, own: false, entry: row.entry };
    for (const user of recipients(command)) give(user, entry);
    if (senders.has(command.from) && !recipients(command).includes(command.from)) {
      give(command.from, { ...entry, own: true, entry: ownCopy(row.entry) });
    }
  }
  const users = [...perUser];
  const replies = await inbox.run(users.map(([user, entries]) => inbox.enqueueCall(user, partition, entries)));
  const now = Date.now();
  return users.map(([user, entries], i) => {
    const reply = parseEnqueued(replies[i]!);
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
    return { user, atMs: reachable > 0 ? now + redeliverAfterMs : now };
  });
}

/** Who gets a message: the others of its conversation; of one with oneself, oneself. */
function recipients({ conversation, from }: SendCommand): string[] {
  const parts = parseConversation(conversation);
  if (parts?.kind !== 'dm') return [];
  const others = parts.members.filter((user) => user !== from);
  return others.length > 0 ? others : [from];
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
