import type { Transaction } from './store.ts';

/** A table's primary key and indexes, each a list of fields; every field is a string or a number and always there. */
export type TableSchema = { key: readonly string[]; indexes: Readonly<Record<string, readonly string[]>> };

/**
 * One step of the schema. Steps are only ever added: a store of version n runs those after the n-th, in one transaction.
 * `tables` are made, `indexes` are added to a table that exists, then `upgrade` rewrites what is there.
 */
export type SchemaStep = {
  tables?: Readonly<Record<string, TableSchema>>;
  indexes?: Readonly<Record<string, TableSchema['indexes']>>;
  upgrade?: (tx: Transaction) => Promise<void>;
};

export const SCHEMA: readonly SchemaStep[] = [
  {
    tables: {
      messages: { key: ['conversation', 'position'], indexes: { byId: ['from', 'id'], byArrival: ['arrival'] } },
      outbox: { key: ['order'], indexes: { byId: ['id'], byConversation: ['conversation', 'order'] } },
      conversations: { key: ['id'], indexes: { byUpdate: ['updatedAt'] } },
      receipts: { key: ['conversation', 'user'], indexes: {} },
      pulls: { key: ['conversation'], indexes: {} },
      meta: { key: ['key'], indexes: {} },
    },
  },
];

/** The tables as they are after all steps. */
export function tablesOf(steps: readonly SchemaStep[]): Map<string, TableSchema> {
  const tables = new Map<string, TableSchema>();
  for (const step of steps) {
    for (const [name, table] of Object.entries(step.tables ?? {})) tables.set(name, table);
    for (const [name, indexes] of Object.entries(step.indexes ?? {})) {
      const table = tables.get(name);
      if (table === undefined) throw new Error(`schema: index on ${name}, which no earlier step makes`);
      tables.set(name, { key: table.key, indexes: { ...table.indexes, ...indexes } });
    }
  }
  return tables;
}

/** The fields of an index, or of the primary key where none is named. */
export function fieldsOf(
  tables: Map<string, TableSchema>,
  table: string,
  index: string | undefined,
): readonly string[] {
  const schema = tables.get(table);
  const fields = index === undefined ? schema?.key : schema?.indexes[index];
  if (fields === undefined) throw new Error(`no ${index ?? 'table'} in ${table}`);
  return fields;
}
