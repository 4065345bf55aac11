import { readdirSync, readFileSync } from 'node:fs';
import { PERMISSIONS, SERVICES, type ServiceName, TABLE_ACTIONS } from '@restante/shared/runtime/permissions';
import { TABLES, type TableName } from '@restante/shared/runtime/tables';
import { describe, expect, test } from 'vitest';

/**
 * A right that is too narrow shows only in AWS: no engine on one machine asks for any. So what a service's own files do to a table by
 * name is read out of them and held against its role.
 */
const USE = /new (\w+)Command\(\{?[^;]*?TableName: '(\w+)'|writeAll\(\s*[\w.#]+,\s*'(\w+)'/gs;
type Use = { action: string; table: string; file: string };

function usesOf(service: ServiceName): Use[] {
  const folder = new URL(`../../${service}/src/`, import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .flatMap((file) =>
      [...readFileSync(new URL(file, folder), 'utf8').matchAll(USE)].map(([, command, table, written]) => ({
        action: `dynamodb:${written === undefined ? command : 'BatchWriteItem'}`,
        table: (table ?? written)!,
        file: `${service}/src/${file}`,
      })),
    );
}

describe.each(SERVICES)('%s', (service) => {
  const uses = usesOf(service);

  test('is seen to use tables', () => expect(uses.length).toBeGreaterThan(0));

  test('may do to each table what its files do', () => {
    const missing = uses.filter(({ action, table }) => {
      expect(Object.keys(TABLES)).toContain(table);
      const accesses = PERMISSIONS[service].tables[table as TableName] ?? [];
      return !accesses.some((access) => TABLE_ACTIONS[access].includes(action));
    });
    expect(missing).toEqual([]);
  });
});
