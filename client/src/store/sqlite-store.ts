import type { Records, TableName } from './records.ts';
import { fieldsOf, SCHEMA, type SchemaStep, type TableSchema, tablesOf } from './schema.ts';
import { type Key, Mutex, type Range, type Store, type Transaction } from './store.ts';

export type SqliteValue = string | number;

/**
 * The little that a SQLite library must do, by promise or at once. Each statement is run with its `?` bound in order; `all` gives rows as objects.
 * `docs/client.md` has it for expo-sqlite, op-sqlite, node:sqlite and better-sqlite3, a few lines each.
 */
export interface SqliteDriver {
  run(sql: string, values: readonly SqliteValue[]): unknown;
  all(sql: string, values: readonly SqliteValue[]): Record<string, unknown>[] | Promise<Record<string, unknown>[]>;
  close(): unknown;
}

/**
 * Keeps everything in one SQLite file through a driver of the app's choice. The connection must not be used by anything
 * else: transactions are run on it one at a time.
 */
export function sqliteStore(driver: SqliteDriver, options: { schema?: readonly SchemaStep[] } = {}): Store {
  const schema = options.schema ?? SCHEMA;
  const tables = tablesOf(schema);
  const mutex = new Mutex();
  const transaction = transactionOn(driver, tables);
  let ready = false;
  let closed = false;

  const inTransaction = async <R>(begin: string, work: () => Promise<R>): Promise<R> => {
    await driver.run(begin, []);
    try {
      const result = await work();
      await driver.run('COMMIT', []);
      return result;
    } catch (error) {
      await driver.run('ROLLBACK', []);
      throw error;
    }
  };
  return {
    transaction(mode, work) {
      return mutex.run(async () => {
        if (closed) throw new Error('the store is closed');
        if (!ready) {
          await driver.run('PRAGMA synchronous = FULL', []);
          await inTransaction('BEGIN IMMEDIATE', () => migrate(driver, schema));
          ready = true;
        }
        // IMMEDIATE takes the write lock first: a deferred one could fail in the middle, after reading.
        return inTransaction(mode === 'write' ? 'BEGIN IMMEDIATE' : 'BEGIN', () => work(transaction));
      });
    },
    close() {
      return mutex.run(async () => {
        if (closed) return;
        closed = true;
        await driver.close();
      });
    },
  };
}

async function migrate(driver: SqliteDriver, schema: readonly SchemaStep[]): Promise<void> {
  await driver.run('CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)', []);
  const [row] = await driver.all('SELECT version FROM schema_version', []);
  const version = Number(row?.version ?? 0);
  if (version > schema.length) throw new Error(`the store is of version ${version}, this app knows ${schema.length}`);
  for (const [i, step] of schema.entries()) {
    if (i < version) continue;
    for (const [table, { key, indexes }] of Object.entries(step.tables ?? {})) {
      const columns = [...new Set([...key, ...Object.values(indexes).flat()])].map((field) => `"${field}" NOT NULL`);
      await driver.run(
        `CREATE TABLE "${table}" (${columns.join(', ')}, "json" TEXT NOT NULL, PRIMARY KEY (${quoted(key)})) WITHOUT ROWID`,
        [],
      );
      await createIndexes(driver, table, indexes);
    }
    for (const [table, indexes] of Object.entries(step.indexes ?? {})) await addIndexes(driver, table, indexes);
    await step.upgrade?.(transactionOn(driver, tablesOf(schema.slice(0, i + 1))));
  }
  await driver.run('DELETE FROM schema_version', []);
  await driver.run('INSERT INTO schema_version (version) VALUES (?)', [schema.length]);
}

async function createIndexes(driver: SqliteDriver, table: string, indexes: TableSchema['indexes']): Promise<void> {
  for (const [index, fields] of Object.entries(indexes)) {
    await driver.run(`CREATE INDEX "${table}_${index}" ON "${table}" (${quoted(fields)})`, []);
  }
}

/** A new index may need columns that the table lacks: they are added, and filled from the records. */
async function addIndexes(driver: SqliteDriver, table: string, indexes: TableSchema['indexes']): Promise<void> {
  const there = new Set(
    (await driver.all(`SELECT name FROM pragma_table_info('${table}')`, [])).map((row) => row.name),
  );
  for (const field of new Set(Object.values(indexes).flat())) {
    if (there.has(field)) continue;
    await driver.run(`ALTER TABLE "${table}" ADD COLUMN "${field}" NOT NULL DEFAULT ''`, []);
    await driver.run(`UPDATE "${table}" SET "${field}" = coalesce(json_extract("json", '$.${field}'), '')`, []);
  }
  await createIndexes(driver, table, indexes);
}

function transactionOn(driver: SqliteDriver, tables: Map<string, TableSchema>): Transaction {
  const rows = async <T extends TableName>(sql: string, values: readonly SqliteValue[]): Promise<Records[T][]> =>
    (await driver.all(sql, values)).map((row) => JSON.parse(row.json as string) as Records[T]);
  const whereKey = (table: string): string =>
    fieldsOf(tables, table, undefined)
      .map((field) => `"${field}" = ?`)
      .join(' AND ');
  return {
    async get<T extends TableName>(table: T, key: Key) {
      return (await rows<T>(`SELECT "json" FROM "${table}" WHERE ${whereKey(table)}`, key))[0];
    },
    async put(table, record) {
      const schema = tables.get(table);
      const fields = [...new Set([...(schema?.key ?? []), ...Object.values(schema?.indexes ?? {}).flat()])];
      const values = fields.map((field) => (record as unknown as Record<string, SqliteValue>)[field] ?? '');
      const marks = [...fields, 'json'].map(() => '?').join(', ');
      await driver.run(`INSERT OR REPLACE INTO "${table}" (${quoted([...fields, 'json'])}) VALUES (${marks})`, [
        ...values,
        JSON.stringify(record),
      ]);
    },
    async delete(table, key) {
      await driver.run(`DELETE FROM "${table}" WHERE ${whereKey(table)}`, key);
    },
    range<T extends TableName>(table: T, range: Range) {
      const fields = fieldsOf(tables, table, range.index);
      const prefix = range.prefix ?? [];
      const conditions = prefix.map((_, i) => `"${fields[i]}" = ?`);
      const values: SqliteValue[] = [...prefix];
      for (const [bound, sign] of [
        [range.after, '>'],
        [range.before, '<'],
      ] as const) {
        if (bound === undefined) continue;
        conditions.push(`"${fields[prefix.length]}" ${sign} ?`);
        values.push(bound);
      }
      const order = fields.map((field) => `"${field}" ${range.reverse ? 'DESC' : 'ASC'}`).join(', ');
      const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
      return rows<T>(`SELECT "json" FROM "${table}" ${where} ORDER BY ${order} LIMIT ?`, [...values, range.limit]);
    },
  };
}

function quoted(fields: readonly string[]): string {
  return fields.map((field) => `"${field}"`).join(', ');
}
