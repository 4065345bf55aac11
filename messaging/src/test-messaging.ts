import { randomUUID } from 'node:crypto';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { IncomingCommand, OutgoingOp, SendCommand } from '@restante/shared/contract/events';
import { decodeOutgoing, TOPICS } from '@restante/shared/contract/events';
import { directConversation } from '@restante/shared/contract/ids';
import { SlotLeases } from '@restante/shared/inbox/slot-leases-redis';
import { InboxRig } from '@restante/shared/inbox/test-inbox';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import type { LogBatch, LogRecord } from '@restante/shared/kafka/log-record';
import { readRange } from '@restante/shared/kafka/read-range';
import { testKafka, testLogger } from '@restante/shared/kafka/test-topic';
import { logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { createDynamo } from '@restante/shared/runtime/dynamo';
import { Conversations } from './conversations.ts';
import { DedupeMemory } from './dedupe-memory.ts';
import { GatheredDue } from './gathered-due.ts';
import { History } from './history-dynamo.ts';
import type { MessagingContext } from './on-message.ts';

export const EPOCH = 1;
const kafka = testKafka();

/** An owner of partitions, as messaging makes one, on the engines of the integration tests: `onMessages` is called by the test itself. */
export class MessagingRig {
  readonly rig = new InboxRig();
  readonly dynamo: DynamoDBClient;
  readonly producer = new BatchingProducer({
    kafka,
    logger: testLogger,
    topics: [TOPICS.outgoing, TOPICS.deadLetters],
  });
  readonly context: MessagingContext;

  constructor({ endpoint = process.env.DYNAMODB_ENDPOINT, topic = 'none' } = {}) {
    this.dynamo = createDynamo({ endpoint, region: 'us-east-1' });
    const redis = this.rig.store;
    const conversations = new Conversations(this.dynamo);
    this.context = {
      inbox: this.rig.inbox,
      dynamo: this.dynamo,
      history: new History(this.dynamo),
      conversations,
      due: new GatheredDue(redis),
      memory: new DedupeMemory({
        kafka,
        redis,
        conversations,
        topic,
        epoch: EPOCH,
        seconds: 600,
        rereadSeconds: 3600,
        logger: testLogger,
      }),
      leases: new SlotLeases(redis, 16, testLogger),
      producer: this.producer,
      epoch: EPOCH,
      redeliverAfterMs: 5000,
      notUrgentMs: 60_000,
      logger: testLogger,
    };
  }

  async start(): Promise<void> {
    await Promise.all([this.rig.ready(), this.producer.start()]);
  }

  async stop(): Promise<void> {
    await this.producer.stop(0);
    await this.rig.close();
    this.dynamo.destroy();
  }

  /** Redis knows which ids of a partition were sent: nothing is read again. */
  async remember(partition: number): Promise<void> {
    const mark = { script: 'inbox:claims-mark', keys: [`claims:${partition}:{0}`] };
    const [begun] = (await this.rig.store.runOne({ ...mark, args: ['', 'a test'] })) as [string];
    await this.rig.store.runOne({ ...mark, args: [begun] });
  }
}

export const newName = (of: string): string => `${of}-${randomUUID().slice(0, 12)}`;

export function sendOf(from: string, to: string, more: Partial<SendCommand> = {}): SendCommand {
  return {
    t: 'send',
    from,
    conversation: directConversation(from, to),
    id: `m-${randomUUID()}`,
    body: 'hello',
    at: Date.now(),
    ...more,
  };
}

/** Records at the next offsets of a partition that nobody else writes: the log is not needed to handle what came from it. */
export class TestPartition {
  readonly partition: number;
  #offset = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  batch(values: readonly (IncomingCommand | Buffer)[], signal: AbortSignal = new AbortController().signal): LogBatch {
    const records = values.map((value): LogRecord => {
      const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
      return {
        offset: this.#offset++,
        key: null,
        value: bytes,
        timestamp: 1_700_000_000_000 + this.#offset,
        headers: {},
      };
    });
    return { topic: TOPICS.incoming, partition: this.partition, records, signal };
  }
}

/** Where a partition of a topic ends now; `read` gives the values that came since. */
export async function mark(topic: string, partition: number): Promise<{ read(): Promise<string[]> }> {
  const end = async () => (await withAdmin(kafka, (admin) => logEnds(admin, topic))).get(partition) ?? 0;
  const from = await end();
  return {
    async read() {
      const toOffset = await end();
      const values: string[] = [];
      if (toOffset === from) return values;
      const handle = async (records: LogRecord[]) => {
        for (const { offset, value } of records) if (offset >= from) values.push(String(value));
      };
      const { signal } = new AbortController();
      await readRange({ kafka, topic, partition, sinceMs: 0, toOffset, handle, logger: testLogger, signal });
      return values;
    },
  };
}

export const opsOf = (records: string[]): OutgoingOp[] => records.flatMap((value) => decodeOutgoing(value).ops);
