import { positionOf } from '@restante/shared/contract/ids';
import type { AdminHolder } from '@restante/shared/kafka/admin-holder';
import { committed, logEnds } from '@restante/shared/kafka/topics';
import { sleep } from '@restante/shared/runtime/sleep';

const POLL_MS = 20;

/** By partition of `incoming_messages`: the first position that the history need not have yet. */
export type Cut = Map<number, number>;

/**
 * Waits until messaging has committed everything that is in the log now: below the cut the history is whole then (decision 11).
 * Those who ask while a round runs share the next one, so that a thousand rebuilds cost what one does.
 */
export class CommitBarrier {
  readonly #admin: AdminHolder;
  readonly #topic: string;
  readonly #group: string;
  readonly #epoch: number;
  #round: Promise<Cut> | undefined;
  #next: Promise<Cut> | undefined;

  constructor(admin: AdminHolder, topic: string, group: string, epoch: number) {
    this.#admin = admin;
    this.#topic = topic;
    this.#group = group;
    this.#epoch = epoch;
  }

  /** @throws what Kafka's admin calls throw: the rebuild is tried again */
  passed(signal: AbortSignal): Promise<Cut> {
    if (!this.#round) {
      this.#round = this.#wait(signal).finally(() => {
        this.#round = undefined;
      });
      return this.#round;
    }
    // A round that has begun may have read the ends before the caller's inbox was marked partial: only the next one counts for it.
    const running = this.#round;
    this.#next ??= running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.passed(signal);
      });
    return this.#next;
  }

  async #wait(signal: AbortSignal): Promise<Cut> {
    const ends = await this.#admin.use((admin) => logEnds(admin, this.#topic));
    for (;;) {
      const done = await this.#admin.use((admin) => committed(admin, this.#group, this.#topic));
      if ([...ends].every(([partition, end]) => end === 0 || (done.get(partition) ?? 0) >= end)) break;
      await sleep(POLL_MS, signal);
      if (signal.aborted) throw new Error('stopped while waiting for messaging to commit');
    }
    return new Map([...ends].map(([partition, end]) => [partition, positionOf(this.#epoch, end)]));
  }
}
