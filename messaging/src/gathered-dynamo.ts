import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { BATCH_ITEMS, type Item, itemKey, retryPause, writeBatch } from '@restante/shared/runtime/dynamo';

/** What came within this time shares a request: one costs more than the item in it. Only `stored` waits for it, not the delivery. */
const GATHER_MS = 40;
/** Requests in flight; beyond them items wait, and with them the commit: the log holds what comes meanwhile. */
const MAX_IN_FLIGHT = 16;

/** One caller's items, and how many of them are not written yet. */
type Caller = { left: number; signal: AbortSignal; resolve: () => void; reject: (error: Error) => void };
type Waiting = { key: string; item: Item; caller: Caller; attempts: number };

/**
 * Writes items of one table by BatchWriteItem, those of all partitions together. What DynamoDB returns as unprocessed, or a request that
 * failed, is sent again with backoff until it is taken.
 */
export class GatheredWrites {
  readonly #client: DynamoDBClient;
  readonly #table: string;
  readonly #key: readonly string[];
  #waiting: Waiting[] = [];
  #inFlight = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param key the attributes of the table's key: a request may have a key only once */
  constructor(client: DynamoDBClient, table: string, key: readonly string[]) {
    this.#client = client;
    this.#table = table;
    this.#key = key;
  }

  /** Resolves once all items are written. @throws once the signal is aborted: nothing is then known of what remained */
  write(items: readonly Item[], signal: AbortSignal): Promise<void> {
    if (items.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const caller = { left: items.length, signal, resolve, reject };
      for (const item of items) this.#waiting.push({ key: itemKey(item, this.#key), item, caller, attempts: 0 });
      this.#send();
    });
  }

  /** Full requests at once, the rest when its time is up. */
  #send(): void {
    while (this.#waiting.length >= BATCH_ITEMS && this.#inFlight < MAX_IN_FLIGHT) void this.#request(this.#take());
    if (this.#waiting.length === 0 || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#inFlight < MAX_IN_FLIGHT && this.#waiting.length > 0) void this.#request(this.#take());
      this.#send();
    }, GATHER_MS);
  }

  /** The next items, no key twice: a batch that is handled again may write what its first try still waits to write. */
  #take(): Waiting[] {
    const taken = new Map<string, Waiting>();
    const later: Waiting[] = [];
    let next = 0;
    for (; next < this.#waiting.length && taken.size < BATCH_ITEMS; next++) {
      const one = this.#waiting[next]!;
      if (taken.has(one.key)) later.push(one);
      else taken.set(one.key, one);
    }
    this.#waiting = [...later, ...this.#waiting.slice(next)];
    return [...taken.values()];
  }

  async #request(taken: readonly Waiting[]): Promise<void> {
    this.#inFlight++;
    let unwritten: (one: Waiting) => boolean;
    let failure: Error | undefined;
    try {
      const items = taken.map(({ item }) => item);
      const unprocessed = await writeBatch(this.#client, this.#table, items);
      const left = new Set(unprocessed.map((item) => itemKey(item, this.#key)));
      unwritten = ({ key }) => left.has(key);
    } catch (error) {
      failure = error as Error;
      unwritten = () => true;
    }
    this.#inFlight--;
    for (const one of taken) {
      if (!unwritten(one)) written(one.caller);
      // An item that DynamoDB calls invalid never becomes valid: that is a bug of ours, to be seen, not retried in silence for ever.
      else if (failure?.name === 'ValidationException') one.caller.reject(failure);
      else void this.#again(one, failure);
    }
    this.#send();
  }

  async #again(one: Waiting, failure: Error | undefined): Promise<void> {
    const { caller } = one;
    if (!caller.signal.aborted) await retryPause(one.attempts++, caller.signal);
    if (caller.signal.aborted)
      return caller.reject(failure ?? new Error(`stopped with ${caller.left} items not written to ${this.#table}`));
    this.#waiting.push(one);
    this.#send();
  }
}

function written(caller: Caller): void {
  caller.left--;
  if (caller.left === 0) caller.resolve();
}
