import { CLOSE, type CloseName } from '@restante/shared/contract/codes';
import { TOPICS } from '@restante/shared/contract/events';
import type { OutgoingBatch } from '@restante/shared/delivery/outgoing-batch';
import type { Released, ReplayReply } from '@restante/shared/inbox/inbox-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import type { Logger } from '@restante/shared/runtime/logger';
import { metrics } from './events.ts';

/** Puts a page into the records for its gateway: the gap before it, its entries, the end of the backlog where it reaches it. */
export function putPage(outgoing: OutgoingBatch, page: Released): void {
  const { conn, slot, gen, gap, entries, firstSeq, high, live, tail } = page;
  if (gap) {
    outgoing.gap(slot, conn, gen, gap);
    metrics.gaps.inc();
    metrics.gapEntries.inc(gap.to - gap.from + 1);
  }
  if (entries.length > 0) outgoing.deliver(slot, { conn, gen, firstSeq, entries, high });
  if (live) outgoing.add(slot, { t: 'drained', conn, gen, seq: tail });
  metrics.replayed.inc(entries.length);
}

/** A page that begins a connection, or a generation: first where it begins. A gateway that knows it already ignores that. */
export function putBeginning(outgoing: OutgoingBatch, reply: Extract<ReplayReply, { is: 'page' }>): void {
  const { conn, slot, gen, tail } = reply.page;
  outgoing.add(slot, { t: 'reset', conn, gen, acked: reply.acked, tail });
  putPage(outgoing, reply.page);
}

export function putClose(outgoing: OutgoingBatch, slot: number, conn: string, name: CloseName, reason: string): void {
  outgoing.add(slot, { t: 'close', conn, code: CLOSE[name].code, reason });
}

/** A connection whose device the inbox does not have: it was forgotten, or made while the inbox was rebuilt. A new one makes it. */
export function putForgotten(outgoing: OutgoingBatch, slot: number, conn: string): void {
  putClose(outgoing, slot, conn, 'draining', 'the inbox does not know this device: connect again');
}

/** Hints may be lost (decision 12): nobody waits for them. The producer keeps their order per gateway. */
export function publish(outgoing: OutgoingBatch, producer: BatchingProducer, logger: Logger): void {
  send(outgoing, producer, logger);
}

/** So much may be on its way to gateways before the next pages are read: far below what the producer holds. */
const MAX_UNAWAITED_BYTES = 1024 * 1024;

/**
 * As `publish`, but large ones are waited for: when all come back at once, pages are read no faster than the log takes them, rather than
 * held here, and refused by the producer in the end (invariant 8).
 */
export async function publishPaced(outgoing: OutgoingBatch, producer: BatchingProducer, logger: Logger): Promise<void> {
  const { bytes, sent } = send(outgoing, producer, logger);
  if (bytes > MAX_UNAWAITED_BYTES) await Promise.all(sent);
}

function send(outgoing: OutgoingBatch, producer: BatchingProducer, logger: Logger) {
  let bytes = 0;
  const sent = outgoing.take().map(({ slot, value }) => {
    bytes += value.length;
    return producer
      .send(TOPICS.outgoing, slot, null, value)
      .catch((error: Error) => logger.warn({ slot, err: error.message }, 'hint lost'));
  });
  return { bytes, sent };
}
