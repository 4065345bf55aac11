import type { IncomingCommand, OutgoingRecord, UserEvent } from '@restante/shared/contract/events';
import { TOPICS } from '@restante/shared/contract/events';
import type { TracedRecord } from '@restante/shared/kafka/traced-producer';
import { TRACE_HEADER, TRACES_HEADER, type Tracing } from '@restante/shared/runtime/tracing';
import { LRUCache } from 'lru-cache';

const MAX_CONNECTIONS = 20_000;
const MAX_UNACKED = 1_000;

/** The gateway's steps in traces: `send` when a command goes to the log, `deliver` on a socket, and the ack's way back. */
export class GatewayTraces {
  readonly #tracing: Tracing;
  readonly #incoming: string;
  /** By connection: what was delivered and not acked. */
  readonly #unacked = new LRUCache<string, { seq: number; traceparent: string }[]>({ max: MAX_CONNECTIONS });

  constructor(tracing: Tracing, incoming: string) {
    this.#tracing = tracing;
    this.#incoming = incoming;
  }

  readonly record = (topic: string, value: string | Buffer): TracedRecord | undefined => {
    if (topic === this.#incoming) return this.#send(JSON.parse(String(value)) as IncomingCommand);
    if (topic === TOPICS.userEvents) return this.#ack(JSON.parse(String(value)) as UserEvent);
    return undefined;
  };

  /** Entries of a record as they are written. Index in `traceparents` is that of the entry in the record. */
  delivered({ ops }: OutgoingRecord, headers: Record<string, string>): void {
    const parents = headers[TRACES_HEADER]?.split(',');
    if (!parents) return;
    for (const op of ops) {
      if (op.t !== 'deliver') continue;
      op.e.forEach((index, i) => {
        const step = parents[index] && this.#tracing.begin('deliver', 'consume', parents[index], { seq: op.q + i });
        if (!step) return;
        step.end();
        const unacked = this.#unacked.get(op.conn) ?? [];
        if (unacked.length < MAX_UNACKED) unacked.push({ seq: op.q + i, traceparent: step.traceparent });
        this.#unacked.set(op.conn, unacked);
      });
    }
  }

  #send({ t, id, conversation }: IncomingCommand): TracedRecord | undefined {
    const about = { 'messaging.message.id': id, 'messaging.message.conversation_id': conversation };
    const step = this.#tracing.begin(t, 'produce', undefined, about);
    return step && { headers: { [TRACE_HEADER]: step.traceparent }, end: step.end };
  }

  #ack(event: UserEvent): TracedRecord | undefined {
    if (event.t !== 'acked') return undefined;
    const unacked = this.#unacked.get(event.conn) ?? [];
    const acked = unacked.filter(({ seq }) => seq <= event.seq);
    if (acked.length === 0) return undefined;
    this.#unacked.set(
      event.conn,
      unacked.filter(({ seq }) => seq > event.seq),
    );
    return { headers: { [TRACES_HEADER]: acked.map(({ traceparent }) => traceparent).join() } };
  }
}
