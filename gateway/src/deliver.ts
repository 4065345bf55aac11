import { CLOSE } from '@restante/shared/contract/codes';
import { type EntryText, entryExpired, entryFrame, entryPosition } from '@restante/shared/contract/entry';
import type { OutgoingOp, OutgoingRecord } from '@restante/shared/contract/events';
import type { ServerFrame } from '@restante/shared/contract/server-frames';
import type { Connection, Taken } from './connection.ts';
import { metrics } from './events.ts';

/** A frame to a client. */
export function write(connection: Connection, frame: ServerFrame): void {
  send(connection, JSON.stringify(frame));
}

/** The text of a frame, after what waits to be sent together. */
export function send(connection: Connection, text: string): void {
  if (connection.together) connection.together.push(text);
  else if (!connection.closed) connection.socket?.send(text, false);
}

/** The text of a frame that is one of many: those of one turn of the event loop go out in one write. */
export function sendTogether(connection: Connection, text: string): void {
  if (!connection.together) {
    connection.together = [];
    setImmediate(sendGathered, connection);
  }
  connection.together.push(text);
}

/** What still waits to be sent together goes out now: before a close, which would drop it. */
export function sendGathered(connection: Connection): void {
  const { together: texts, socket } = connection;
  connection.together = undefined;
  if (!texts || connection.closed || !socket) return;
  socket.cork(() => {
    for (const text of texts) socket.send(text, false);
  });
}

/** Where the entries of a connection may go: how many the device may have unacked, and how many are kept here until it has room for them. */
export type Window = {
  windowEntries: number;
  prefetchEntries: number;
  windowBytes: number;
  /** Whether what waits for windows in all is as much as this process keeps. */
  crowded(): boolean;
};

export type DeliverOptions = Window & {
  now: () => number;
  /** The op of a pending HTTP call, which has an address as a connection has. @returns whether it was one */
  answerCall(op: OutgoingOp): boolean;
  welcome(connection: Connection, gen: number, acked: number, tail: number): void;
  refill(connection: Connection, reason: string): void;
  repeatAck(connection: Connection): void;
  close(connection: Connection, code: number, reason: string): void;
};

/**
 * Takes records of this gateway's partition and writes what they carry to sockets: entries in strictly growing seq, without a
 * hole, whatever order, loss or repetition the hints came in (decision 12). A connection that is not here is not ours: dropped.
 */
export function createDeliver(connections: Map<string, Connection>, options: DeliverOptions) {
  return (record: OutgoingRecord): void => {
    for (const op of record.ops) {
      const connection = connections.get(op.conn);
      if (connection?.socket) connection.socket.cork(() => apply(connection, op, record.entries, options));
      else if (!options.answerCall(op)) metrics.hintsDropped.inc({ reason: 'unknown connection' });
    }
  };
}

function apply(connection: Connection, op: OutgoingOp, entries: readonly EntryText[], options: DeliverOptions): void {
  switch (op.t) {
    case 'deliver':
      if (!sameGeneration(connection, op.gen, options)) return;
      op.e.forEach((index, i) => {
        const seq = op.q + i;
        const entry = entries[index];
        if (entry !== undefined) take(connection, seq, undefined, entry, seq <= op.r, options);
      });
      return settle(connection, options);
    case 'gap': {
      if (!sameGeneration(connection, op.gen, options)) return;
      const entry = entries[op.e];
      if (entry !== undefined) take(connection, op.q, op.from, entry, false, options);
      return settle(connection, options);
    }
    case 'drained':
      if (!sameGeneration(connection, op.gen, options)) return;
      connection.drainedAt = op.seq;
      settle(connection, options);
      // What the backlog ends with has not come: lost on the way, or still coming. Asked for again if it stays so.
      if (lacksBacklog(connection) && connection.gapSinceMs === 0) connection.gapSinceMs = options.now();
      return;
    case 'reset':
      connection.awaitingSinceMs = 0;
      if (connection.gen === undefined) return options.welcome(connection, op.gen, op.acked, op.tail);
      if (connection.gen === op.gen) {
        // Acked by HTTP beyond what was written here: the connection can't leave it out, and must not show it.
        if (op.acked > connection.written)
          return options.close(connection, CLOSE.draining.code, 'acked beyond what this connection has: connect again');
        // A repeated record of the generation the connection is in: going back would write entries twice on one connection.
        return;
      }
      metrics.resets.inc();
      connection.goTo(op.gen, op.acked);
      return write(connection, { t: 'reset', gen: op.gen, acked: op.acked, tail: op.tail });
    case 'probe':
      if (connection.gen === undefined) return;
      if (connection.gen !== op.gen) return options.refill(connection, 'probe');
      // Also where more is to come: with a full window, a lost ack keeps it back, and nothing else would say it again.
      options.repeatAck(connection);
      // Without room nothing could be taken: the ack that makes some asks for it.
      if (connection.expect <= op.tail && !connection.behind) options.refill(connection, 'probe');
      return;
    case 'stored': {
      const { conn: _, ...frame } = op;
      return answer(connection, frame);
    }
    case 'rejected':
      return answer(connection, { t: 'rejected', id: op.id, code: op.code, message: op.message, retryable: false });
    case 'frame':
      // The welcome is the first frame, always; what is ephemeral does not wait for it.
      return connection.gen === undefined ? undefined : write(connection, op.frame);
    case 'close':
      return options.close(connection, op.code, op.reason);
  }
}

/** What became of a message: not before its `accepted`, which the producer's own answer brings. */
function answer(
  connection: Connection,
  frame: { t: 'stored' | 'rejected'; id: string } & Record<string, unknown>,
): void {
  const text = JSON.stringify(frame);
  if (connection.sending?.has(frame.id)) connection.sending.set(frame.id, text);
  // Who sends many is answered many times in a turn: a write each was most of what a message costs in system calls.
  else sendTogether(connection, text);
}

function sameGeneration(connection: Connection, gen: number, options: DeliverOptions): boolean {
  if (connection.gen === gen) return true;
  metrics.hintsDropped.inc({ reason: 'another generation' });
  // A newer one means that the reset was lost: the refill will be answered with it.
  if (connection.gen !== undefined && connection.gapSinceMs === 0) connection.gapSinceMs = options.now();
  return false;
}

/** Takes an entry in its turn, holds it before its turn, drops it after. `gapFrom`: a gap stands for gapFrom..seq. */
function take(
  connection: Connection,
  seq: number,
  gapFrom: number | undefined,
  entry: EntryText,
  replayed: boolean,
  options: DeliverOptions,
): void {
  const first = gapFrom ?? seq;
  if (seq < connection.expect || connection.behind) return;
  // A gap over what was taken in part: it is asked for as it begins here, lest entries be counted twice.
  if (first < connection.expect) return options.refill(connection, 'gap');
  if (first > connection.expect) {
    connection.held ??= new Map();
    if (connection.held.size < options.prefetchEntries) connection.held.set(seq, { entry, gapFrom, replayed });
    if (connection.gapSinceMs === 0) connection.gapSinceMs = options.now();
    return;
  }
  const full = connection.waiting !== undefined || connection.unacked.length >= options.windowEntries;
  const beyondBytes = connection.unacked.length > 0 && connection.unackedBytes + entry.length > options.windowBytes;
  // Beyond the window in bytes nothing is taken; acks make room, and a refill then starts from what was really taken.
  if (beyondBytes || (full && options.crowded())) {
    connection.behind = true;
    connection.held = undefined;
    return;
  }
  connection.unackedBytes += entry.length;
  connection.expect = seq + 1;
  connection.awaitingSinceMs = 0;
  const taken = { seq, entry, replayed };
  if (!full) return writeEntry(connection, taken);
  connection.waiting ??= [];
  connection.waiting.push(taken);
}

function writeEntry(connection: Connection, { seq, entry, replayed }: Taken): void {
  send(connection, entryFrame(entry, seq, connection.gen!, replayed));
  connection.unacked.push({ seq, position: entryPosition(entry), bytes: entry.length });
  connection.written = seq;
  metrics.entriesOut.inc();
}

/** Writes what waits, as far as the acks have made room in the window. */
export function writeWaiting(
  connection: Connection,
  { windowEntries, refill }: Pick<DeliverOptions, 'windowEntries' | 'refill'>,
  nowMs: number,
): void {
  const { waiting } = connection;
  if (!waiting) return;
  let count = 0;
  for (; count < waiting.length && connection.unacked.length < windowEntries; count++) {
    const taken = waiting[count]!;
    if (entryExpired(taken.entry, nowMs)) {
      // Its ttl ran out while it waited: Redis shows a gap in its place. What is asked for is written at once, for there is room.
      for (const { entry } of waiting.splice(count)) connection.unackedBytes -= entry.length;
      connection.expect = taken.seq;
      refill(connection, 'expired');
      break;
    }
    writeEntry(connection, taken);
  }
  if (count === waiting.length) connection.waiting = undefined;
  else waiting.splice(0, count);
  tellDrained(connection);
}

/** Whether a connection that was left behind can take entries again: half a window of them where others wait too. */
export function hasRoomAgain(connection: Connection, { windowEntries, windowBytes, crowded }: Window): boolean {
  if (!connection.behind || connection.unackedBytes > windowBytes / 2) return false;
  return connection.unacked.length <= windowEntries / 2 || !crowded();
}

/** Whether some of the backlog, whose end is known, was neither taken nor left for want of room. */
const lacksBacklog = ({ drainedAt, expect, behind }: Connection): boolean =>
  drainedAt !== undefined && expect <= drainedAt && !behind;

/** After entries were taken: those that were held and whose turn it is now, then the end of the backlog. */
function settle(connection: Connection, options: DeliverOptions): void {
  const held = connection.held;
  if (held) {
    for (const [seq, item] of [...held].sort(([a], [b]) => a - b)) {
      if ((item.gapFrom ?? seq) > connection.expect || connection.behind) break;
      held.delete(seq);
      take(connection, seq, item.gapFrom, item.entry, item.replayed, options);
    }
    if (held.size === 0) connection.held = undefined;
  }
  if (!connection.held && !lacksBacklog(connection)) connection.gapSinceMs = 0;
  tellDrained(connection);
}

/** Once, when all of the backlog is written. */
function tellDrained(connection: Connection): void {
  if (connection.drained || connection.drainedAt === undefined || connection.written < connection.drainedAt) return;
  connection.drained = true;
  connection.awaitingSinceMs = 0;
  write(connection, { t: 'drained', seq: connection.drainedAt, gen: connection.gen! });
}
