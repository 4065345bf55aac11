import { type Kafka, type Message, Partitioners, type Producer, type TopicMessages } from 'kafkajs';
import { KAFKAJS_RETRY, type OwnClient, ownClient } from './client.ts';
import { settledWithin } from './settled-within.ts';

/** The broker answers by then whether or not the replicas have it. Below the request timeout, so that there is an answer. */
const ACK_TIMEOUT_MS = 5000;
/** kafkajs has promises that never settle; a send that takes this long is taken for one, and its client is replaced. */
const SEND_DEADLINE_MS = 30_000;
/** A client that fails this often in a row on one batch is replaced: its state may be what is broken. */
const REPLACE_AFTER_ATTEMPTS = 8;
const DISCONNECT_TIMEOUT_MS = 3000;

type Client = { producer: Producer; own: OwnClient };
type Part = {
  topic: string;
  partition: number;
  messages: Message[];
  resolve: () => void;
  reject: (error: unknown) => void;
};

/** The kafkajs producer behind a BatchingProducer: made when it is needed, and made anew when it looks broken. */
export class ProducerClient {
  #kafka: Kafka;
  #client: Client | undefined;
  #connecting: Promise<Client> | undefined;
  #closed = false;
  #gathered: Part[] = [];
  /** Partitions that have taken a batch. One that hasn't may have no leader yet: it would fail the request for all that share it. */
  readonly #taking = new Set<string>();

  constructor(kafka: Kafka) {
    this.#kafka = kafka;
  }

  /** @throws where Kafka can't be reached now. */
  async connect(): Promise<void> {
    if (this.#client === undefined) await this.#connect();
  }

  /**
   * One attempt at one batch of one partition. Resolves when all in-sync replicas have it; rejected, its outcome is mostly unknown.
   * First attempts of one turn of the event loop share a request; where that fails each is sent alone, so that every batch is told
   * what happened to itself.
   */
  async send(topic: string, partition: number, messages: Message[], attempt: number): Promise<void> {
    if (attempt > 1 || !this.#taking.has(`${topic}/${partition}`))
      return this.#sendAlone(topic, partition, messages, attempt);
    return new Promise((resolve, reject) => {
      if (this.#gathered.length === 0) setImmediate(() => this.#sendGathered());
      this.#gathered.push({ topic, partition, messages, resolve, reject });
    });
  }

  #sendGathered(): void {
    const parts = this.#gathered;
    this.#gathered = [];
    const alone = ({ topic, partition, messages, resolve, reject }: Part) =>
      void this.#sendAlone(topic, partition, messages, 1).then(resolve, reject);
    const [first] = parts;
    if (first && parts.length === 1) return alone(first);
    const topicMessages = parts.map(({ topic, messages }) => ({ topic, messages }));
    this.#produce(topicMessages, parts).then(
      () => {
        for (const { resolve } of parts) resolve();
      },
      () => parts.forEach(alone),
    );
  }

  async #sendAlone(topic: string, partition: number, messages: Message[], attempt: number): Promise<void> {
    const client = this.#client;
    try {
      await this.#produce([{ topic, messages }], [{ topic, partition }]);
      this.#taking.add(`${topic}/${partition}`);
    } catch (error) {
      this.#taking.delete(`${topic}/${partition}`);
      if (client !== undefined && attempt % REPLACE_AFTER_ATTEMPTS === 0) this.#replace(client);
      throw error;
    }
  }

  async #produce(
    topicMessages: TopicMessages[],
    expected: readonly { topic: string; partition: number }[],
  ): Promise<void> {
    const client = this.#client ?? (await this.#connect());
    const sending = client.producer.sendBatch({ topicMessages, acks: -1, timeout: ACK_TIMEOUT_MS });
    const written = await withDeadline(sending, () => this.#replace(client));
    for (const { topic, partition } of expected) {
      // kafkajs resolves with nothing written where its metadata doesn't have the partition.
      if (!written.some((one) => one.topicName === topic && one.partition === partition && one.errorCode === 0)) {
        throw new Error(`partition ${partition} of ${topic} is not in kafkajs's metadata`);
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#connecting !== undefined) await settledWithin(this.#connecting, DISCONNECT_TIMEOUT_MS);
    if (this.#client !== undefined) await disconnect(this.#client);
    this.#client = undefined;
  }

  #connect(): Promise<Client> {
    this.#connecting ??= this.#newClient().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #newClient(): Promise<Client> {
    const own = ownClient(this.#kafka);
    const producer = own.kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      // No retry inside: kafkajs's own would go on in the dark where the lane's tells what happens.
      retry: { ...KAFKAJS_RETRY, retries: 0 },
    });
    try {
      await withDeadline(producer.connect(), own.destroy);
      if (this.#closed) throw new Error('the producer is stopped');
    } catch (error) {
      own.destroy();
      throw error;
    }
    this.#client = { producer, own };
    return this.#client;
  }

  #replace(client: Client): void {
    if (this.#client === client) this.#client = undefined;
    void disconnect(client);
  }
}

/** Lets what is in flight be answered, for a while, then cuts the connections. */
async function disconnect({ producer, own }: Client): Promise<void> {
  await settledWithin(producer.disconnect(), DISCONNECT_TIMEOUT_MS);
  own.destroy();
}

async function withDeadline<T>(promise: Promise<T>, onLate: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onLate();
      reject(new Error(`kafkajs did not answer within ${SEND_DEADLINE_MS} ms`));
    }, SEND_DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
