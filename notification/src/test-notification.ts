import { decodeOutgoing, type OutgoingOp, TOPICS, type UserEvent } from '@restante/shared/contract/events';
import { ReceiptStore } from '@restante/shared/inbox/receipts-redis';
import { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import { InboxRig } from '@restante/shared/inbox/test-inbox';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import type { LogBatch, LogRecord } from '@restante/shared/kafka/log-record';
import { testKafka, testLogger } from '@restante/shared/kafka/test-topic';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import type { CommitBarrier, Cut } from './commit-barrier.ts';
import { CursorFlusher } from './cursors-dynamo.ts';
import { Members } from './members.ts';
import type { NotificationContext } from './on-user-event.ts';
import { Presence } from './presence.ts';
import { Rebuilds } from './rebuilds.ts';
import { Receipts } from './receipts.ts';
import { SeenDevices } from './seen-devices-dynamo.ts';
import { Wakes } from './wakes.ts';

type Sent = { topic: string; partition: number; value: string };

/** The real producer, which also remembers what it was given, and how many bytes it had to hold at most. */
class NotedProducer extends BatchingProducer {
  readonly sent: Sent[] = [];
  mostHeldBytes = 0;

  override send(topic: string, partition: number, key: string | null, value: string | Buffer): Promise<void> {
    this.sent.push({ topic, partition, value: String(value) });
    const sending = super.send(topic, partition, key, value);
    this.mostHeldBytes = Math.max(this.mostHeldBytes, this.heldBytes);
    return sending;
  }
}

/** Notification without its consumer and its due worker, on the engines of the integration tests. */
export class NotificationRig {
  readonly rig = new InboxRig({ poison: { connections: 2, connectionMs: 0, spanMs: 0 } });
  readonly dynamo = createDynamo({ endpoint: process.env.DYNAMODB_ENDPOINT, region: 'us-east-1' });
  readonly producer = new NotedProducer({
    kafka: testKafka(),
    logger: testLogger,
    topics: [TOPICS.outgoing, TOPICS.deadLetters],
  });
  readonly context: NotificationContext;
  /** What a rebuild finds committed. */
  cut: Cut = new Map();
  #offset = 0;

  constructor() {
    const { rig, dynamo, producer } = this;
    const leases = new SlotLeases(rig.store, 16, testLogger);
    const members = new Members(dynamo);
    const common = { store: rig.store, members, leases, producer, logger: testLogger };
    const barrier = { passed: async () => this.cut } as unknown as CommitBarrier;
    const seen = new SeenDevices(dynamo, testLogger);
    this.context = {
      inbox: rig.inbox,
      dynamo,
      producer,
      flusher: new CursorFlusher(dynamo, rig.inbox, seen, testLogger, async () => undefined),
      seen,
      rebuilds: new Rebuilds({ inbox: rig.inbox, dynamo, barrier, partitionFor: () => 0, seen }, producer, testLogger),
      wakes: new Wakes(),
      presence: new Presence({ ...common, offlineAfterMs: 60_000 }),
      receipts: new Receipts({ ...common, dynamo, receipts: new ReceiptStore(rig.store, dynamo) }),
      logger: testLogger,
    };
  }

  async start(): Promise<void> {
    await Promise.all([this.rig.ready(), this.producer.start()]);
    this.context.flusher.start();
  }

  async stop(): Promise<void> {
    await this.context.flusher.stop();
    await this.context.seen.stop();
    await this.context.rebuilds.stop();
    await this.producer.stop(0);
    await this.rig.close();
    this.dynamo.destroy();
  }

  batch(events: readonly (UserEvent | Buffer)[]): LogBatch {
    const records = events.map((event): LogRecord => {
      const value = Buffer.isBuffer(event) ? event : Buffer.from(JSON.stringify(event));
      return { offset: this.#offset++, key: null, value, timestamp: 1, headers: {} };
    });
    return { topic: TOPICS.userEvents, partition: 0, records, signal: new AbortController().signal };
  }

  /** What connections were told since the last look: what deliveries carry is shown as the positions of the entries. */
  told(): unknown[] {
    const sent = this.producer.sent.filter(({ topic }) => topic === TOPICS.outgoing);
    this.producer.sent.splice(0);
    return sent.flatMap(({ partition, value }) => {
      const { ops, entries } = decodeOutgoing(value);
      return ops.map((op: OutgoingOp) => {
        if (op.t !== 'deliver') return { slot: partition, ...op };
        const { e, ...rest } = op;
        return {
          slot: partition,
          ...rest,
          positions: e.map((index) => (JSON.parse(entries[index]!) as { position: number }).position),
        };
      });
    });
  }
}
