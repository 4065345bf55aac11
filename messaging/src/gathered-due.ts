import { type DueUser, dueAddCalls } from '@restante/shared/inbox/due-queue-redis';
import type { RedisStore } from '@restante/shared/runtime/redis';

/** Users that became due within this time are put into the queue together: nobody is woken or probed so soon that it mattered. */
const GATHER_MS = 40;

/** Puts users into the due queue, those of all partitions together. */
export class GatheredDue {
  readonly #store: RedisStore;
  #users: DueUser[] = [];
  #written: Promise<void> | undefined;

  constructor(store: RedisStore) {
    this.#store = store;
  }

  /** Resolves once the users are in the queue. @throws UnavailableError: all may be put again */
  put(users: readonly DueUser[]): Promise<void> {
    if (users.length === 0) return Promise.resolve();
    for (const user of users) this.#users.push(user);
    this.#written ??= new Promise((resolve, reject) => {
      setTimeout(() => {
        const taken = this.#users;
        this.#users = [];
        this.#written = undefined;
        this.#store.run(dueAddCalls(taken)).then(() => resolve(), reject);
      }, GATHER_MS);
    });
    return this.#written;
  }
}
