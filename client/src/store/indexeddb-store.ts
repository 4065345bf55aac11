import { deleteDB, type IDBPDatabase, type IDBPTransaction, openDB } from 'idb';
import type { Records, TableName } from './records.ts';
import { SCHEMA, type SchemaStep } from './schema.ts';
import type { Key, Range, Store, Transaction } from './store.ts';

type AnyTransaction = IDBPTransaction<unknown, string[], 'readonly' | 'readwrite' | 'versionchange'>;

/** A count is an unsigned long in IndexedDB: a larger one throws. */
const LARGEST_COUNT = 2 ** 32 - 1;

/**
 * Keeps everything in the browser's IndexedDB, shared by the tabs of an origin.
 * @param name the database; one a user, so that two accounts on one browser stay apart
 */
export function indexedDbStore(name: string, options: { schema?: readonly SchemaStep[] } = {}): Store {
  const schema = options.schema ?? SCHEMA;
  let opened: Promise<IDBPDatabase> | undefined;
  let closed = false;

  const database = (): Promise<IDBPDatabase> => {
    if (closed) return Promise.reject(new Error('the store is closed'));
    opened ??= open(name, schema, () => {
      opened = undefined;
    }).catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };

  return {
    async transaction(mode, work) {
      const db = await database();
      // Strict: an ack tells the server to forget, so the entry must be on the disk and not in the system's cache.
      const tx = db.transaction([...db.objectStoreNames], mode === 'read' ? 'readonly' : 'readwrite', {
        durability: 'strict',
      });
      const done = tx.done;
      try {
        const result = await work(transactionOn(tx as unknown as AnyTransaction));
        await done;
        return result;
      } catch (error) {
        done.catch(() => undefined);
        abort(tx);
        throw error;
      }
    },
    async close() {
      closed = true;
      (await opened)?.close();
    },
  };
}

/** Deletes the database: all that this user's client kept in this browser. */
export function deleteIndexedDbStore(name: string): Promise<void> {
  return deleteDB(name);
}

function abort(tx: { abort(): void }): void {
  try {
    tx.abort();
  } catch {
    // It has ended by itself: the failure that we report came from it.
  }
}

function open(name: string, schema: readonly SchemaStep[], onGone: () => void): Promise<IDBPDatabase> {
  return openDB(name, schema.length, {
    async upgrade(db, oldVersion, _newVersion, tx) {
      for (const step of schema.slice(oldVersion)) {
        for (const [table, { key, indexes }] of Object.entries(step.tables ?? {})) {
          const store = db.createObjectStore(table, { keyPath: [...key] });
          for (const [index, fields] of Object.entries(indexes)) store.createIndex(index, [...fields]);
        }
        for (const [table, indexes] of Object.entries(step.indexes ?? {})) {
          const store = tx.objectStore(table);
          for (const [index, fields] of Object.entries(indexes)) store.createIndex(index, [...fields]);
        }
        await step.upgrade?.(transactionOn(tx as unknown as AnyTransaction));
      }
    },
    blocking(_current, _blocked, event) {
      // A newer version of the app, in another tab, waits for this one to let go.
      (event.target as IDBDatabase).close();
      onGone();
    },
    terminated: onGone,
  });
}

function transactionOn(tx: AnyTransaction): Transaction {
  const write = (name: string) =>
    tx.objectStore(name) as unknown as { put(value: unknown): Promise<unknown>; delete(key: unknown): Promise<void> };
  return {
    get<T extends TableName>(table: T, key: Key) {
      return tx.objectStore(table).get([...key]) as Promise<Records[T] | undefined>;
    },
    // Not waited for: requests of a transaction run in order, and one that fails makes the whole transaction fail.
    async put(table, record) {
      write(table)
        .put(record)
        .catch(() => {});
    },
    async delete(table, key) {
      write(table)
        .delete([...key])
        .catch(() => {});
    },
    async range<T extends TableName>(table: T, range: Range) {
      const store = tx.objectStore(table);
      const source = range.index === undefined ? store : store.index(range.index);
      const bounds = boundsOf(range);
      if (!range.reverse) return (await source.getAll(bounds, Math.min(range.limit, LARGEST_COUNT))) as Records[T][];
      // A step of the cursor for each record would be slow: it jumps to the last one wanted, and all above are read at once.
      const cursor = await source.openKeyCursor(bounds, 'prev');
      const last =
        cursor === null || range.limit === 1 ? cursor : await cursor.advance(Math.min(range.limit - 1, LARGEST_COUNT));
      const low = last === null ? bounds : IDBKeyRange.bound(last.key, bounds?.upper ?? [[]], false, true);
      const found = (await source.getAll(low)) as Records[T][];
      return found.reverse().slice(0, range.limit);
    },
  };
}

/** An array sorts after every number and string, so `[...prefix, []]` is above all keys that begin with the prefix. */
function boundsOf(range: Range): IDBKeyRange | null {
  const prefix = range.prefix ?? [];
  if (prefix.length === 0 && range.after === undefined && range.before === undefined) return null;
  // Below every longer key that begins alike; for an exclusive bound, above all of those.
  const low = range.after === undefined ? [...prefix] : [...prefix, range.after, []];
  const high = range.before === undefined ? [...prefix, []] : [...prefix, range.before];
  // A key that is exactly the prefix plus `after` sorts below `low`, so it's out without an open bound.
  return IDBKeyRange.bound(low, high, false, true);
}
