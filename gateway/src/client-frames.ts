import { type ClientFrame, parseClientFrame } from '@restante/shared/contract/client-frames';
import { CLOSE, ERROR_CODES } from '@restante/shared/contract/codes';
import type { UserEvent } from '@restante/shared/contract/events';
import type { Connection } from './connection.ts';
import { hasRoomAgain, send, sendTogether, type Window, write, writeWaiting } from './deliver.ts';
import { metrics } from './events.ts';
import { countLimited, type Guard } from './guard.ts';
import { timeAck } from './latencies.ts';
import type { GatewayLog } from './log.ts';
import type { Refusal, SendPath, SendResult } from './send.ts';

/** Sends of one connection that Kafka has not answered; more are refused, so that one client can't fill the gateway. */
const MAX_UNANSWERED_SENDS = 2_000;
/**
 * Acks of live connections are gathered, of all together, to points in time that are this far apart: nothing waits for them but the
 * trim, and a record that shares its request costs a fraction of one that doesn't.
 */
const ACK_GATHER_MS = 100;
/** A part of the window is not gathered any longer: one that is full in Redis holds back what comes next. */
const ACK_GATHER_PART = 1 / 4;
/**
 * While a backlog drains each ack releases a page, whose way costs as much for ten entries as for hundreds: half a window is gathered, for
 * the other half is on its way meanwhile, and not for long.
 */
const ACK_GATHER_DRAINING_PART = 1 / 2;
const ACK_GATHER_DRAINING_MS = 5;

export type FrameContext = Window & {
  slot: () => number;
  lease: () => string;
  sendPath: SendPath;
  log: GatewayLog;
  guard: Pick<Guard, 'frames'>;
  refill(connection: Connection, reason: string): void;
  /** Closes for what the client sent: its device is refused for a while. */
  throwOut(connection: Connection, code: number, reason: string): void;
};

/** What is neither a send nor a good ack takes from the connection's own bound; beyond it the client is closed, as each such frame takes the time of others. */
function takesTooMuch(connection: Connection, { guard, throwOut }: FrameContext): boolean {
  const nowMs = Date.now();
  connection.costly ??= guard.frames(nowMs);
  if (connection.costly.take(nowMs) === 0) return false;
  countLimited('RATE_FRAMES_PER_SECOND');
  throwOut(connection, CLOSE.rate.code, 'too many frames');
  return true;
}

/** Takes one text frame of a client. Whatever is in it, the connection stays and the reason is said, until there is too much of it. */
export function onFrame(connection: Connection, text: string, context: FrameContext): void {
  // Those that came in one piece with the one that was too many.
  if (connection.closed) return;
  const parsed = parseClientFrame(text);
  if (!parsed.ok) {
    metrics.framesIn.inc({ type: 'bad' });
    if (takesTooMuch(connection, context)) return;
    if (parsed.id !== undefined) return reject(connection, parsed.id, { code: parsed.code, message: parsed.message });
    return write(connection, { t: 'error', code: parsed.code, message: parsed.message });
  }
  const { frame } = parsed;
  metrics.framesIn.inc({ type: frame.t });
  if (frame.t !== 'send' && frame.t !== 'ack' && takesTooMuch(connection, context)) return;
  switch (frame.t) {
    case 'send':
      return onSend(connection, frame, context);
    case 'ack':
      return onAck(connection, frame, context);
    case 'nack':
      return onNack(connection, frame, context);
    case 'delete': {
      const { id, conversation, position } = frame;
      const ret = { conn: connection.id, slot: context.slot() };
      const command = { t: 'delete' as const, from: connection.user, id, conversation, position, at: Date.now(), ret };
      return answer(connection, id, context.sendPath.command(connection.user, command, command.at), context);
    }
    case 'ping':
      return write(connection, { t: 'pong', ...(frame.n === undefined ? {} : { n: frame.n }), now: Date.now() });
    case 'read': {
      const { conversation, position } = frame;
      return publishOrSay(connection, context, {
        t: 'read',
        ...sessionOf(connection, context),
        conversation,
        position,
        at: Date.now(),
      });
    }
    case 'typing': {
      const { conversation, on } = frame;
      if (!connection.takesTyping(Date.now())) return;
      return publishOrSay(connection, context, { t: 'typing', ...sessionOf(connection, context), conversation, on });
    }
    case 'watch': {
      const { users } = frame;
      return publishOrSay(connection, context, {
        t: 'watch',
        ...sessionOf(connection, context),
        lease: context.lease(),
        users,
      });
    }
  }
}

const sessionOf = ({ user, device, id }: Connection, { slot }: FrameContext) => ({
  user,
  device,
  conn: id,
  slot: slot(),
});

/** What is not a message goes to notification; where the log is away the client hears of it, and may say it again. */
function publishOrSay(connection: Connection, { log }: FrameContext, event: UserEvent): void {
  log
    .event(event)
    .catch(() =>
      write(connection, { t: 'error', code: 'overloaded', message: `${event.t}: the log is not reachable now` }),
    );
}

function onSend(connection: Connection, frame: Extract<ClientFrame, { t: 'send' }>, context: FrameContext): void {
  const { t: _, ...fields } = frame;
  if ((connection.sending?.size ?? 0) >= MAX_UNANSWERED_SENDS) {
    if (takesTooMuch(connection, context)) return;
    return reject(connection, frame.id, {
      code: 'overloaded',
      message: 'too many sends are unanswered on this connection',
      retryAfterMs: 1000,
    });
  }
  const sender = { user: connection.user, ret: { conn: connection.id, slot: context.slot() } };
  answer(connection, frame.id, context.sendPath.send(sender, fields, Date.now()), context);
}

function answer(
  connection: Connection,
  id: string,
  result: Promise<SendResult> | Refusal,
  context: FrameContext,
): void {
  if ('code' in result) {
    // That the log is away is not the client's doing.
    if (result.code !== 'overloaded' && takesTooMuch(connection, context)) return;
    return reject(connection, id, result);
  }
  connection.sending ??= new Map();
  if (!connection.sending.has(id)) connection.sending.set(id, undefined);
  void result.then((sent) => {
    const later = connection.sending?.get(id);
    connection.sending?.delete(id);
    if (connection.closed) return;
    if (!sent.ok) return reject(connection, id, sent);
    sendTogether(connection, JSON.stringify({ t: 'accepted', id, at: sent.at }));
    if (later !== undefined) send(connection, later);
  });
}

function reject(connection: Connection, id: string, { code, message, retryAfterMs }: Refusal): void {
  metrics.rejected.inc({ code });
  const { retryable } = ERROR_CODES[code];
  write(connection, {
    t: 'rejected',
    id,
    code,
    message,
    retryable,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** The message of an `error` where seq or gen of an ack or nack can't be, undefined where they can. */
function refusedPlace(connection: Connection, seq: number, gen: number): string | undefined {
  if (gen !== connection.gen) return `gen ${gen} is not the inbox's, ${connection.gen}`;
  if (seq > connection.written) return `seq ${seq} was never sent: the last is ${connection.written}`;
  return undefined;
}

function onAck(connection: Connection, { seq, gen }: Extract<ClientFrame, { t: 'ack' }>, context: FrameContext): void {
  const refused = refusedPlace(connection, seq, gen);
  if (refused) {
    if (takesTooMuch(connection, context)) return;
    return write(connection, { t: 'error', code: 'bad_field', message: `ack: ${refused}` });
  }
  if (seq <= connection.acked) return;
  connection.ackPosition = connection.takeAck(seq);
  const nowMs = Date.now();
  timeAck(connection, nowMs);
  writeWaiting(connection, context, nowMs);
  const draining = !connection.drained || connection.behind || seq <= (connection.drainedAt ?? 0);
  // All that was written: what comes next waits for this ack, and the end of a backlog is what a device that goes away again waits for.
  const enough =
    seq - connection.ackPublished >=
      context.prefetchEntries * (draining ? ACK_GATHER_DRAINING_PART : ACK_GATHER_PART) ||
    (draining && connection.unacked.length === 0);
  if (connection.ackScheduled && enough) flushAck(connection, context);
  else if (!connection.ackScheduled) {
    connection.ackScheduled = true;
    if (enough) setImmediate(flushAck, connection, context);
    else {
      const ms = draining ? ACK_GATHER_DRAINING_MS : ACK_GATHER_MS - (performance.now() % ACK_GATHER_MS);
      setTimeout(flushAck, ms, connection, context);
    }
  }
  if (hasRoomAgain(connection, context)) {
    connection.behind = false;
    flushAck(connection, context);
    context.refill(connection, 'window');
  }
}

/** Publishes the furthest ack, if it has not been. */
export function flushAck(connection: Connection, context: Pick<FrameContext, 'log' | 'slot'>): void {
  if (!connection.ackScheduled) return;
  connection.ackScheduled = false;
  publishAck(connection, context);
}

/** A lost ack is harmless: it comes again with the next, or at a probe. */
export function publishAck(connection: Connection, { log, slot }: Pick<FrameContext, 'log' | 'slot'>): void {
  const { user, device, id, gen, acked, ackPosition } = connection;
  if (gen === undefined || acked === 0) return;
  connection.ackPublished = acked;
  log
    .event({ t: 'acked', user, device, conn: id, slot: slot(), gen, seq: acked, position: ackPosition })
    .catch(countLost);
}

function onNack(connection: Connection, frame: Extract<ClientFrame, { t: 'nack' }>, context: FrameContext): void {
  const { seq, gen, reason } = frame;
  const refused = refusedPlace(connection, seq, gen);
  if (refused) return write(connection, { t: 'error', code: 'bad_field', message: `nack: ${refused}` });
  const sent = connection.unacked.find((entry) => entry.seq === seq);
  if (!sent)
    return write(connection, { t: 'error', code: 'bad_field', message: `nack: seq ${seq} is acked, or inside a gap` });
  const { user, device, id } = connection;
  flushAck(connection, context);
  context.log
    .event({ t: 'nacked', user, device, conn: id, slot: context.slot(), gen, seq, position: sent.position, reason })
    .catch(() =>
      write(connection, {
        t: 'error',
        code: 'overloaded',
        message: 'nack: the log is not reachable now, send it again',
      }),
    );
}

export const countLost = (): void => metrics.hintsDropped.inc({ reason: 'event not published' });
