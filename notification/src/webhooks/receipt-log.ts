import { type ReceiptEvent, TOPICS } from '@restante/shared/contract/events';
import type { Receipt } from '@restante/shared/inbox/receipts-redis';
import type { BatchingProducer } from '@restante/shared/kafka/batching-producer';

/** Receipts on their way to webhooks: in the log, so that none is lost whatever ends. */
export class ReceiptLog {
  readonly #producer: BatchingProducer;
  readonly #topic: string;

  constructor(producer: BatchingProducer, topic: string = TOPICS.receipts) {
    this.#producer = producer;
    this.#topic = topic;
  }

  /** Resolves once Kafka has them. */
  async write(receipts: readonly Receipt[]): Promise<void> {
    const at = Date.now();
    await Promise.all(
      receipts.map((receipt) => {
        const event: ReceiptEvent = { ...receipt, at };
        const partition = this.#producer.partitionFor(this.#topic, receipt.conversation);
        return this.#producer.send(this.#topic, partition, receipt.conversation, JSON.stringify(event));
      }),
    );
  }
}
