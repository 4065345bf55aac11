import type { Records, TableName } from './records.ts';
import { fieldsOf, SCHEMA, type SchemaStep, type TableSchema, tablesOf } from './schema.ts';
import { type Key, type KeyPart, Mutex, type Range, type Store, type Transaction } from './store.ts';

type Row = Record<string, unknown>;
type Entry = { key: Key; row: Row };

/** Keeps everything in memory: for tests, bots and pages that may forget. It survives nothing. */
export function memoryStore(options: { schema?: readonly SchemaStep[] } = {}): Store {
  const tables = tablesOf(options.schema ?? SCHEMA);
  const data = new Map([...tables].map(([name, schema]) => [name, new Table(schema)]));
  const mutex = new Mutex();
  let closed = false;

  const transaction: Store['transaction'] = (_mode, work) =>
    mutex.run(async () => {
      if (closed) throw new Error('the store is closed');
      const undo: (() => void)[] = [];
      try {
        return await work(transactionOn(data, tables, undo));
      } catch (error) {
        for (const step of undo.reverse()) step();
        throw error;
      }
    });
  return {
    transaction,
    async close() {
      closed = true;
    },
  };
}

function transactionOn(data: Map<string, Table>, tables: Map<string, TableSchema>, undo: (() => void)[]): Transaction {
  const table = (name: string): Table => {
    const found = data.get(name);
    if (found === undefined) throw new Error(`no table ${name}`);
    return found;
  };
  const replace = (name: string, key: Key, row: Row | undefined): void => {
    const before = table(name).replace(key, row);
    undo.push(() => table(name).replace(key, before));
  };
  return {
    async get<T extends TableName>(name: T, key: Key) {
      return table(name).get(key) as Records[T] | undefined;
    },
    async put(name, record) {
      const row = structuredClone(record) as Row;
      replace(name, keyOf(row, fieldsOf(tables, name, undefined)), row);
    },
    async delete(name, key) {
      replace(name, key, undefined);
    },
    async range<T extends TableName>(name: T, range: Range) {
      return table(name).range(range) as Records[T][];
    },
  };
}

/** Rows by primary key, and per index a sorted list. */
class Table {
  readonly #schema: TableSchema;
  readonly #sorted = new Map<string | undefined, Entry[]>();

  constructor(schema: TableSchema) {
    this.#schema = schema;
    for (const index of [undefined, ...Object.keys(schema.indexes)]) this.#sorted.set(index, []);
  }

  get(key: Key): Row | undefined {
    const list = this.#list(undefined);
    const entry = list[firstAtLeast(list, key)];
    return entry !== undefined && compareKeys(entry.key, key) === 0 ? entry.row : undefined;
  }

  /** Puts, or deletes where `row` is undefined. @returns what was there */
  replace(key: Key, row: Row | undefined): Row | undefined {
    const before = this.get(key);
    for (const [index, list] of this.#sorted) {
      const fields = index === undefined ? this.#schema.key : (this.#schema.indexes[index] ?? []);
      // The primary key at the end makes an index's keys distinct.
      const full = (of: Row): Key => [...keyOf(of, fields), ...(index === undefined ? [] : key)];
      if (before !== undefined) list.splice(firstAtLeast(list, full(before)), 1);
      if (row !== undefined) list.splice(firstAtLeast(list, full(row)), 0, { key: full(row), row });
    }
    return before;
  }

  range(range: Range): Row[] {
    const list = this.#list(range.index);
    const prefix = range.prefix ?? [];
    const low = range.after === undefined ? prefix : [...prefix, range.after];
    let start = firstAtLeast(list, low);
    if (range.after !== undefined) while (start < list.length && startsWith(list[start]?.key ?? [], low)) start++;
    let end = start;
    const inside = (entry: Entry): boolean => {
      if (!startsWith(entry.key, prefix)) return false;
      const next = entry.key[prefix.length];
      return range.before === undefined || (next !== undefined && comparePart(next, range.before) < 0);
    };
    if (range.before !== undefined) end = Math.max(start, firstAtLeast(list, [...prefix, range.before]));
    else if (prefix.length === 0) end = list.length;
    else while (end < list.length && inside(list[end] as Entry)) end++;
    const found = range.reverse
      ? list.slice(Math.max(start, end - range.limit), end).reverse()
      : list.slice(start, Math.min(end, start + range.limit));
    return found.map((entry) => entry.row);
  }

  #list(index: string | undefined): Entry[] {
    const list = this.#sorted.get(index);
    if (list === undefined) throw new Error(`no index ${index}`);
    return list;
  }
}

function keyOf(row: Row, fields: readonly string[]): Key {
  return fields.map((field) => row[field] as KeyPart);
}

/** Numbers before strings, as IndexedDB orders them. */
function comparePart(a: KeyPart, b: KeyPart): number {
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = comparePart(a[i] as KeyPart, b[i] as KeyPart);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function startsWith(key: Key, prefix: Key): boolean {
  return prefix.every((part, i) => key[i] === part);
}

function firstAtLeast(list: Entry[], key: Key): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys((list[middle] as Entry).key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
