import { AdminHolder } from '@restante/shared/kafka/admin-holder';
import type { ReadRange } from '@restante/shared/kafka/read-range';
import { committed, logEnds } from '@restante/shared/kafka/topics';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { sleep } from '@restante/shared/runtime/sleep';
import { metrics } from './events.ts';

const MESSAGING_GROUP = 'messaging';
const LOOK_EACH_MS = 2_000;
/** While some is held back: what it is held back by must follow what is done about it. */
const LOOK_OFTEN_MS = 500;
/** What is held back is let go in steps of this, a timer for all of one. */
const PACE_STEP_MS = 50;
const MAX_PACE_MS = 250;
/** The part of the time that the records beyond the bound will take for which an answer is held back: more would swing between looks. */
const PACE_PART = 1 / 32;
/** How fast messaging is, is seen over so many looks: it commits in steps. */
const RATE_OF_LOOKS = 8;
/** Some of the backlog must go first, which takes longer than Kafka's coming back. */
const RETRY_AFTER_MS = 5_000;

export type BacklogOptions = {
  kafka: ReadRange['kafka'];
  topic: string;
  pacedRecords: number;
  maxRecords: number;
  logger: Logger;
};
type Look = { atMs: number; done: ReadonlyMap<number, number> };

/**
 * For how long an `accepted` is held back where messaging is `lag` records behind and gets `perSecond` done: as Kafka's quotas do it, who
 * waits for the answer before the next send then sends as fast as is delivered.
 */
export function paceMs(lag: number, pacedRecords: number, perSecond: number): number {
  if (lag <= pacedRecords) return 0;
  return Math.min(MAX_PACE_MS, ((lag - pacedRecords) / Math.max(1, perSecond)) * PACE_PART * 1000);
}

/**
 * How far messaging is behind, partition by partition. What is accepted faster than it is delivered would come later and later, and in
 * the end too late for the log's retention: first its `accepted` is held back (BACKLOG_PACED_RECORDS), which also leaves the machine to
 * who delivers; beyond a bound it is refused, until messaging has caught up (BACKLOG_MAX_RECORDS).
 */
export class Backlog {
  readonly #options: BacklogOptions;
  readonly #admin: AdminHolder;
  readonly #stopping = new AbortController();
  #behind = new Set<number>();
  /** By partition. */
  #paces = new Map<number, number>();
  #looks: Look[] = [];
  /** What is held back, by the step at which it goes. */
  readonly #held = new Map<number, Promise<void>>();
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

  /** Whether anything is held back. */
  get isPacing(): boolean {
    return this.#paces.size > 0;
  }

  /** @returns what an `accepted` of the partition waits for, undefined where it need not */
  paced(partition: number): Promise<void> | undefined {
    const pace = this.#paces.get(partition);
    if (pace === undefined) return undefined;
    const now = performance.now();
    const step = Math.ceil((now + pace) / PACE_STEP_MS);
    const known = this.#held.get(step);
    if (known) return known;
    const held = sleep(step * PACE_STEP_MS - now).then(() => void this.#held.delete(step));
    this.#held.set(step, held);
    return held;
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
      await sleep(this.isPacing ? LOOK_OFTEN_MS : LOOK_EACH_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const { topic, pacedRecords, maxRecords, logger } = this.#options;
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
    const now = { atMs: performance.now(), done };
    this.#looks = [...this.#looks, now].slice(-RATE_OF_LOOKS);
    const first = this.#looks[0]!;
    this.#paces = new Map();
    for (const { partition, lag } of lags) {
      const records = (done.get(partition) ?? 0) - (first.done.get(partition) ?? 0);
      const seconds = Math.max(1, now.atMs - first.atMs) / 1000;
      const pace = paceMs(lag, pacedRecords, records / seconds);
      if (pace > 0) this.#paces.set(partition, pace);
    }
    metrics.partitionsPaced.set(this.#paces.size);
  }
}
