import { join } from 'node:path';
import 'fake-indexeddb/auto';
import { afterAll } from 'vitest';
import { sqliteFile, temporaryFolder } from '../testing/sqlite-file.ts';
import { indexedDbStore } from './indexeddb-store.ts';
import { memoryStore } from './memory-store.ts';
import { sqliteStore } from './sqlite-store.ts';
import { storeSuite } from './store-suite.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());

storeSuite('memory', (_name, schema) => memoryStore(schema ? { schema } : {}), { keeps: false });
storeSuite(
  'sqlite',
  (name, schema) => sqliteStore(sqliteFile(join(folder.path, `${name}.db`)), schema ? { schema } : {}),
  { keeps: true },
);
// The same suite runs in a real browser too (e2e/client-browser.e2e.test.ts); here it is the standard's algorithm in memory.
storeSuite('indexeddb', (name, schema) => indexedDbStore(name, schema ? { schema } : {}), { keeps: true });
