import { AdminHolder } from '@restante/shared/kafka/admin-holder';
import type { ReadRange } from '@restante/shared/kafka/read-range';
import { committed, logEnds } from '@restante/shared/kafka/topics';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { sleep } from '@restante/shared/runtime/sleep';
import { metrics } from './events.ts';

const MESSAGING_GROUP = 'messaging';
const LOOK_EACH_MS = 2_000;
/** Some of the backlog must go first, which takes longer than Kafka's coming back. */
const RETRY_AFTER_MS = 5_000;

export type BacklogOptions = { kafka: ReadRange['kafka']; topic: string; maxRecords: number; logger: Logger };

/**
 * How far messaging is behind, partition by partition. What is accepted faster than it is delivered would come later and later, and in
 * the end too late for the log's retention: beyond a bound it is refused, until messaging has caught up (BACKLOG_MAX_RECORDS).
 */
export class Backlog {
  readonly #options: BacklogOptions;
  readonly #admin: AdminHolder;
  readonly #stopping = new AbortController();
  #behind = new Set<number>();
  #running: Promise<void> = Promise.resolve();

  constructor(options: BacklogOptions) {
    this.#options = options;
    this.#admin = new AdminHolder(options.kafka);
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#admin.close();
    await this.#running;
  }

  /** @returns 0 where the partition takes more, else when to ask again: spread, so that not all come at once */
  retryAfterMs(partition: number): number {
    if (!this.#behind.has(partition)) return 0;
    return Math.round(RETRY_AFTER_MS * (1 + Math.random()));
  }

  /** The end of each partition, as it is now. @throws where Kafka is away */
  ends(): Promise<Map<number, number>> {
    return this.#admin.use((admin) => logEnds(admin, this.#options.topic));
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#look();
      } catch (error) {
        // Kafka is away, so nothing is accepted anyway; what was known last holds until it answers.
        if (!signal.aborted) this.#options.logger.warn({ err: messageOf(error) }, 'the backlog could not be read');
      }
      await sleep(LOOK_EACH_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const { topic, maxRecords, logger } = this.#options;
    const [ends, done] = await this.#admin.use((admin) =>
      Promise.all([logEnds(admin, topic), committed(admin, MESSAGING_GROUP, topic)]),
    );
    const lags = [...ends].map(([partition, end]) => ({ partition, lag: end - (done.get(partition) ?? 0) }));
    const behind = new Set(lags.flatMap(({ partition, lag }) => (lag > maxRecords ? [partition] : [])));
    metrics.partitionsBehind.set(behind.size);
    if (behind.size > 0 && this.#behind.size === 0)
      logger.error({ topic, lags, maxRecords }, 'messaging is too far behind: sends to these partitions are refused');
    if (behind.size === 0 && this.#behind.size > 0) logger.info({ topic }, 'messaging has caught up: sends are taken');
    this.#behind = behind;
  }
}
