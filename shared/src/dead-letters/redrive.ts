import type { Logger } from 'pino';
import { type RedriveMark, TOPICS } from '../contract/events.ts';
import { BatchingProducer } from '../kafka/batching-producer.ts';
import { readRange } from '../kafka/read-range.ts';
import { DeadLetterError, type Kafka, type Letter } from './read-letters.ts';
import { DEAD_LETTER_PARTITION } from './write-letters.ts';

const SEND_WITHIN_MS = 30_000;

/** Sends letters on their way again, each marked before the next one goes. */
export class Redriver {
  readonly #kafka: Kafka;
  readonly #logger: Logger;
  readonly #producer: BatchingProducer;

  constructor(kafka: Kafka, logger: Logger) {
    this.#kafka = kafka;
    this.#logger = logger;
    this.#producer = new BatchingProducer({ kafka, logger, topics: [TOPICS.userEvents] });
  }

  start(): Promise<void> {
    return within(this.#producer.start());
  }

  stop(): Promise<void> {
    return this.#producer.stop(0);
  }

  /**
   * A record goes to the partition that it came from, byte for byte, so that its own id makes it count once. An entry goes to its user, by an
   * event that names the letter. Only then is the letter marked. @throws DeadLetterError where it has nothing that could be sent
   */
  async redrive(letter: Letter): Promise<void> {
    if (letter.user !== undefined) await this.#sendEntry(letter, letter.user);
    else await this.#sendRecord(letter);
    await this.#mark({ source: letter.source, redrivenAt: Date.now() });
  }

  /** Closes a letter that is not to be sent again. It stays in the topic as long as others. */
  discard({ source }: Letter): Promise<void> {
    return this.#mark({ source, redrivenAt: Date.now(), discarded: true });
  }

  #mark(mark: RedriveMark): Promise<void> {
    return this.#send(TOPICS.deadLetters, DEAD_LETTER_PARTITION, mark.source, JSON.stringify(mark));
  }

  async #sendEntry({ source, valueBase64 }: Letter, user: string): Promise<void> {
    const entry = Buffer.from(valueBase64 ?? '', 'base64').toString('utf8');
    const event = JSON.stringify({ t: 'redriven', user, letter: source, entry });
    const { userEvents } = TOPICS;
    await this.#send(userEvents, this.#producer.partitionFor(userEvents, user), user, event);
  }

  async #sendRecord(letter: Letter): Promise<void> {
    const { source, topic, partition, offset, key, valueBase64 } = letter;
    if (topic === undefined || partition === undefined || offset === undefined)
      throw new DeadLetterError(`${source} says neither which record it was nor whose entry`);
    const value = valueBase64 == null ? await this.#fromTheLog(letter) : Buffer.from(valueBase64, 'base64');
    if (!value)
      throw new DeadLetterError(`${source} has no value, or the log has it no more: nothing can be sent again`);
    await this.#send(topic, partition, key, value);
  }

  /** A value that was too large to be copied is where it was. */
  async #fromTheLog({ topic, partition, offset }: Letter): Promise<Buffer | undefined> {
    const at = Number(offset);
    let value: Buffer | null | undefined;
    await readRange({
      kafka: this.#kafka,
      ...{ topic: topic!, partition: partition!, sinceMs: 0, fromOffset: at, toOffset: at + 1 },
      logger: this.#logger,
      signal: AbortSignal.timeout(SEND_WITHIN_MS),
      handle: async (records) => {
        value = records.find((record) => record.offset === at)?.value;
      },
    });
    return value ?? undefined;
  }

  #send(topic: string, partition: number, key: string | null, value: string | Buffer): Promise<void> {
    return within(this.#producer.send(topic, partition, key, value));
  }
}

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new DeadLetterError(
      `Kafka has not answered within ${SEND_WITHIN_MS / 1000} s`,
      'redrive again: what got through twice is recognised',
    );
    timer = setTimeout(() => reject(error), SEND_WITHIN_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
