import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sqlite from 'node-sqlite3-wasm';
import type { SqliteDriver, SqliteValue } from '../store/sqlite-store.ts';

/** A driver on a real file, by the WebAssembly build of SQLite, which needs no compiler and no download. */
export function sqliteFile(path: string): SqliteDriver {
  const db = new sqlite.Database(path);
  return {
    run: (sql, values) => db.run(sql, [...values]),
    all: (sql, values) => db.all(sql, [...values] as SqliteValue[]) as Record<string, unknown>[],
    close: () => db.close(),
  };
}

/** A folder for one test file, and a function that removes it. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'restante-client-'));
  mkdirSync(path, { recursive: true });
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
