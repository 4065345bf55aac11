import { type DynamoDBClient, PutItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import type { ReadRange } from '@restante/shared/kafka/read-range';
import { clusterId, logEnds, withAdmin } from '@restante/shared/kafka/topics';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';

const WRITE_EACH_MS = 10_000;
type Kafka = ReadRange['kafka'];

/**
 * Remembers in DynamoDB `logs` which cluster the log is in and how far it was consumed: positions come from its offsets, so another log
 * under the same name would give positions that are taken (decision 1).
 */
export class LogIdentity {
  readonly #dynamo: DynamoDBClient;
  readonly #topic: string;
  readonly #logger: Logger;
  readonly #committed = new Map<number, number>();
  #cluster = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(dynamo: DynamoDBClient, topic: string, logger: Logger) {
    this.#dynamo = dynamo;
    this.#topic = topic;
    this.#logger = logger;
  }

  /** @throws Error where the log is not the one that was consumed before, naming what was found and what to do */
  async check(kafka: Kafka): Promise<void> {
    this.#cluster = await clusterId(kafka);
    const ends = await withAdmin(kafka, (admin) => logEnds(admin, this.#topic));
    const { Items } = await this.#dynamo.send(
      new QueryCommand({
        TableName: 'logs',
        KeyConditionExpression: 'topic = :t',
        ExpressionAttributeValues: { ':t': { S: this.#topic } },
        ConsistentRead: true,
      }),
    );
    for (const item of Items ?? []) {
      const partition = Number(item.partition?.N);
      const committed = Number(item.committed?.N);
      const end = ends.get(partition) ?? 0;
      if (item.clusterId?.S === this.#cluster && end >= committed) continue;
      throw new Error(
        `${this.#topic}[${partition}] ends at ${end} in cluster ${this.#cluster}, but ${committed} was consumed of it in cluster ` +
          `${item.clusterId?.S}: this is another log. Restore the old one, or begin a new one: INCOMING_EPOCH=<next number>`,
      );
    }
    for (const partition of ends.keys())
      if (!Items?.some((item) => Number(item.partition?.N) === partition)) this.#committed.set(partition, 0);
    await this.#write();
    this.#timer = setInterval(() => void this.#write(), WRITE_EACH_MS);
  }

  committed(partition: number, offset: number): void {
    this.#committed.set(partition, offset);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#write();
  }

  async #write(): Promise<void> {
    const written = [...this.#committed];
    this.#committed.clear();
    try {
      await Promise.all(written.map(([partition, offset]) => this.#put(partition, offset)));
    } catch (error) {
      // Behind by a while at most; what was committed since is written next time.
      this.#logger.warn({ err: messageOf(error) }, 'how far the log was consumed could not be written');
    }
  }

  async #put(partition: number, offset: number): Promise<void> {
    await this.#dynamo.send(
      new PutItemCommand({
        TableName: 'logs',
        Item: {
          topic: { S: this.#topic },
          partition: { N: String(partition) },
          clusterId: { S: this.#cluster },
          committed: { N: String(offset) },
        },
      }),
    );
  }
}
