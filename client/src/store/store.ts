import type { Records, TableName } from './records.ts';

export type KeyPart = string | number;
export type Key = readonly KeyPart[];

/** What of a table or an index to read, in the order of its key. */
export type Range = {
  index?: string;
  /** Equal to these, from the first field of the key on. */
  prefix?: Key;
  /** The next field is greater than this. */
  after?: KeyPart;
  /** The next field is less than this. */
  before?: KeyPart;
  /** From the greatest down. */
  reverse?: boolean;
  /** At most this many records. */
  limit: number;
};

/**
 * Reads and writes of one transaction. Await nothing but these inside one: IndexedDB commits a transaction as soon as it
 * is left idle.
 */
export interface Transaction {
  get<T extends TableName>(table: T, key: Key): Promise<Records[T] | undefined>;
  put<T extends TableName>(table: T, record: Records[T]): Promise<void>;
  delete(table: TableName, key: Key): Promise<void>;
  range<T extends TableName>(table: T, range: Range): Promise<Records[T][]>;
}

/**
 * Where a client keeps what it must not lose. A transaction is all or nothing, and once a `write` has resolved it survives
 * a crash of the app. Transactions that write see one another's results in some order.
 */
export interface Store {
  transaction<R>(mode: 'read' | 'write', work: (tx: Transaction) => Promise<R>): Promise<R>;
  /** Ends the use of the store; what it holds stays. */
  close(): Promise<void>;
}

/** A counter in `meta`: the next of its values, from 1. */
export async function nextCount(tx: Transaction, key: string, by = 1): Promise<number> {
  const last = ((await tx.get('meta', [key]))?.value as number | undefined) ?? 0;
  await tx.put('meta', { key, value: last + by });
  return last + 1;
}

/** Runs one at a time, in the order of the calls; a failure is the caller's and stops nothing. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  run<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
