import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { decodeUserEvent, type UserEvent, type UserEventOf } from '@restante/shared/contract/events';
import { buryRecord, writeLetter } from '@restante/shared/dead-letters/write-letters';
import { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import {
  type AckReply,
  type Inbox,
  parseAck,
  parseDisconnect,
  parseDueCheck,
  parseNack,
  parseRefill,
  parseReplay,
  type RefillReply,
} from '@restante/shared/inbox/inbox-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import type { LogBatch, LogRecord } from '@restante/shared/kafka/log-record';
import type { Logger } from '@restante/shared/runtime/logger';
import type { RedisValue, ScriptCall } from '@restante/shared/runtime/redis';
import type { CursorFlusher } from './cursors-dynamo.ts';
import { metrics } from './events.ts';
import { publishPaced, putBeginning, putClose, putForgotten, putPage } from './pages.ts';
import type { Rebuilds } from './rebuilds.ts';
import { onRedriven, type Redriven } from './redriven.ts';
import type { SeenDevices } from './seen-devices-dynamo.ts';
import { onSocialEvent, type SocialContext } from './social.ts';

export type NotificationContext = {
  inbox: Inbox;
  dynamo: DynamoDBClient;
  producer: BatchingProducer;
  flusher: CursorFlusher;
  seen: SeenDevices;
  rebuilds: Rebuilds;
  logger: Logger;
} & SocialContext;

/** What is left to do after the scripts of a batch: a second look, a rebuild. By user and connection, so that each is done once. */
type After = { replay: Map<string, { user: string; conn: string }>; rebuild: Set<string>; poison: Poison[] };

/** An entry that one device can't process: it said so, or its connections end on it. */
type Poison = {
  user: string;
  device: string;
  conn: string;
  slot: number;
  gen: number;
  seq: number;
  position: number;
  reason: string;
};
/**
 * Events whose pages are read together. Each event releases one page at most, of one window, and the next one waits for its ack: so an inbox of
 * 50,000 takes its turn among a thousand of 20, and a storm of connections holds no more than these here.
 */
export const PAGES_AT_ONCE = 128;
const POISON_REASON = 'left alone unacked at the end of its last connections';

function poisonOf(event: UserEvent): Poison | undefined {
  if (event.t === 'nacked') return { ...event, reason: `nacked: ${event.reason}` };
  if (event.t === 'user_connected' && event.poison)
    return { ...event, ...event.poison, position: 0, reason: POISON_REASON };
  return undefined;
}

/**
 * One batch of one partition of `user_events`. The scripts of all its events go out in one pipeline, in their order, so that a user's
 * events keep theirs. `durable` resolves once the cursors that its acks moved are in DynamoDB; until then its
 * offsets stay uncommitted, and a crash handles them again: every script finds what it did before.
 */
export async function onUserEvents(batch: LogBatch, context: NotificationContext): Promise<{ durable: Promise<void> }> {
  const end = metrics.handleSeconds.startTimer();
  const durable: Promise<void>[] = [];
  const events: UserEvent[] = [];
  const redriven: Redriven[] = [];
  for (const record of batch.records) {
    const decoded = decodeUserEvent(record.value);
    if (decoded.ok) {
      metrics.events.inc({ type: decoded.value.t });
      events.push(decoded.value);
      if (decoded.value.t === 'redriven') redriven.push({ event: decoded.value, offset: record.offset });
      continue;
    }
    const letter = deadRecord(batch, record, decoded.reason, context);
    // Until `durable` is made, none may go unhandled.
    letter.catch(() => undefined);
    durable.push(letter);
  }
  const outgoing = new OutgoingBatch();
  const after: After = { replay: new Map(), rebuild: new Set(), poison: [] };
  const flushes = new Set<string>();
  let run: UserEvent[] = [];
  for (const event of events) {
    const poison = poisonOf(event);
    if (poison) {
      // Two steps, with a durable dead letter between: what came before it goes first, so that the order is kept.
      await runEvents(run, outgoing, after, flushes, context);
      run = [];
      await onPoison(poison, outgoing, after, flushes, context);
    }
    if (event.t !== 'nacked') run.push(event);
  }
  await runEvents(run, outgoing, after, flushes, context);
  for (const poison of after.poison) await onPoison(poison, outgoing, after, flushes, context);
  await replayAnew([...after.replay.values()], outgoing, after, context);
  await onRedriven(redriven, batch.partition, context);
  for (const event of events) {
    if (event.t === 'user_connected' && event.seen) context.seen.wrote(event.user, event.device);
    else if (event.t === 'user_disconnected' || (event.t === 'user_connected' && !after.rebuild.has(event.user)))
      context.seen.saw(event.user, event.device);
    const kept = onSocialEvent(event, outgoing, context);
    kept?.catch(() => undefined);
    if (kept) durable.push(kept);
  }
  await publishPaced(outgoing, context.producer, context.logger);
  for (const user of after.rebuild) void context.rebuilds.rebuilt(user);
  end();
  for (const user of flushes) durable.push(context.flusher.flushed(user));
  return { durable: Promise.all(durable).then(() => undefined) };
}

async function runEvents(
  events: readonly UserEvent[],
  outgoing: OutgoingBatch,
  after: After,
  flushes: Set<string>,
  context: NotificationContext,
): Promise<void> {
  const { inbox } = context;
  const calls: { event: UserEvent; call: ScriptCall }[] = [];
  for (const event of events) {
    const call = callOf(event, inbox);
    if (call) calls.push({ event, call });
  }
  for (let from = 0; from < calls.length; from += PAGES_AT_ONCE) {
    if (from > 0) await publishPaced(outgoing, context.producer, context.logger);
    const some = calls.slice(from, from + PAGES_AT_ONCE);
    const replies = await inbox.run(some.map(({ call }) => call));
    some.forEach(({ event }, i) => {
      onReply(event, replies[i]!, outgoing, after, flushes, context);
    });
  }
}

function callOf(event: UserEvent, inbox: Inbox): ScriptCall | undefined {
  switch (event.t) {
    case 'user_connected':
      return inbox.replayCall(event.user, event.conn, false);
    case 'user_disconnected':
      return inbox.disconnectCall(event.user, event.conn, event.sent);
    case 'acked':
      return inbox.ackCall(event.user, event);
    case 'refill':
      return inbox.refillCall(event.user, event.conn, event.gen, event.from);
    case 'acked_by_http':
    case 'rebuild_requested':
      return inbox.dueCheckCall(event.user);
    default:
      return undefined;
  }
}

function onReply(
  event: UserEvent,
  reply: RedisValue,
  outgoing: OutgoingBatch,
  after: After,
  flushes: Set<string>,
  context: NotificationContext,
): void {
  switch (event.t) {
    case 'user_connected':
      if (event.replaced)
        putClose(outgoing, event.replaced.slot, event.replaced.conn, 'replaced', 'a newer connection of this device');
      return onRefill(event, parseReplay(reply), outgoing, after);
    case 'refill':
      return onRefill(event, parseRefill(reply), outgoing, after);
    case 'acked':
      flushes.add(event.user);
      return onAcked(event, parseAck(reply), outgoing, after, context);
    case 'acked_by_http': {
      flushes.add(event.user);
      const state = parseDueCheck(reply);
      if (state.is !== 'whole') return;
      for (const { conn, device } of state.sessions) {
        if (device === event.device) after.replay.set(conn, { user: event.user, conn });
      }
      return;
    }
    case 'rebuild_requested':
      if (parseDueCheck(reply).is !== 'whole') after.rebuild.add(event.user);
      return;
    case 'user_disconnected': {
      const poison = parseDisconnect(reply);
      if (poison) after.poison.push({ ...event, ...poison, position: 0, reason: POISON_REASON });
      return;
    }
    default:
      return;
  }
}

function onRefill(
  event: UserEventOf<'user_connected' | 'refill'>,
  reply: RefillReply,
  outgoing: OutgoingBatch,
  after: After,
): void {
  const { user, conn, slot } = event;
  switch (reply.is) {
    case 'page':
      return event.t === 'refill' ? putPage(outgoing, reply.page) : putBeginning(outgoing, reply);
    case 'partial':
      after.rebuild.add(user);
      return;
    case 'reset':
      after.replay.set(conn, { user, conn });
      return;
    case 'no-device':
      return putForgotten(outgoing, slot, conn);
    case 'close':
      return putClose(
        outgoing,
        slot,
        conn,
        'draining',
        'the inbox no longer has what this connection waits for: connect again',
      );
    case 'gone':
      return;
  }
}

function onAcked(
  event: Pick<Poison, 'user' | 'conn' | 'slot' | 'gen' | 'seq'>,
  reply: AckReply,
  outgoing: OutgoingBatch,
  after: After,
  context: NotificationContext,
): void {
  const { user, conn, slot } = event;
  switch (reply.is) {
    case 'ok':
      if (reply.page) putPage(outgoing, reply.page);
      return;
    case 'partial':
      after.rebuild.add(user);
      return;
    case 'reset':
      after.replay.set(conn, { user, conn });
      return;
    case 'refused':
      metrics.refused.inc();
      context.logger.error(
        { user, conn, seq: event.seq, gen: event.gen },
        'an ack does not match what was sent: refused',
      );
      return putClose(outgoing, slot, conn, 'draining', 'the acks do not match what was sent: connect again');
  }
}

/** The entry goes to the dead letters first, then it is marked: a crash between the two leaves a letter too many, never one too few. */
async function onPoison(
  event: Poison,
  outgoing: OutgoingBatch,
  after: After,
  flushes: Set<string>,
  context: NotificationContext,
): Promise<void> {
  const { inbox, producer } = context;
  const { user, device, seq, gen, reason } = event;
  const [read] = await inbox.run([inbox.nackCall(user, event, false)]);
  const found = parseNack(read!);
  if (found.is !== 'entry') {
    // Acked meanwhile, or handled before: nothing is owed for it.
    if (found.is !== 'refused') onAcked(event, found, outgoing, after, context);
    return;
  }
  metrics.deadLetters.inc();
  await writeLetter(producer, {
    source: `inbox/${user}/${device}/${gen}/${seq}`,
    reason,
    at: Date.now(),
    user,
    device,
    seq,
    key: user,
    valueBase64: Buffer.from(found.entry).toString('base64'),
  });
  const [marked] = await inbox.run([inbox.nackCall(user, event, true)]);
  const reply = parseNack(marked!);
  if (reply.is === 'entry' || reply.is === 'refused') return;
  flushes.add(user);
  onAcked(event, reply, outgoing, after, context);
}

/** Connections that are in another generation than the inbox: they begin again, from their device's cursor. */
async function replayAnew(
  connections: readonly { user: string; conn: string }[],
  outgoing: OutgoingBatch,
  after: After,
  { inbox, producer, logger }: NotificationContext,
): Promise<void> {
  for (let from = 0; from < connections.length; from += PAGES_AT_ONCE) {
    await publishPaced(outgoing, producer, logger);
    const some = connections.slice(from, from + PAGES_AT_ONCE);
    const replies = await inbox.run(some.map(({ user, conn }) => inbox.replayCall(user, conn, true)));
    replies.forEach((value, i) => {
      const reply = parseReplay(value);
      if (reply.is === 'page') putBeginning(outgoing, reply);
      else if (reply.is === 'partial') after.rebuild.add(some[i]!.user);
      else if (reply.is === 'no-device') putForgotten(outgoing, reply.slot, some[i]!.conn);
    });
  }
}

function deadRecord(
  batch: LogBatch,
  record: LogRecord,
  reason: string,
  { producer, logger }: NotificationContext,
): Promise<void> {
  metrics.deadLetters.inc();
  logger.error(
    { topic: batch.topic, partition: batch.partition, offset: record.offset, reason },
    'undecodable record: to the dead letters',
  );
  return buryRecord(producer, batch, record, reason);
}
