#!/usr/bin/env node
// Committed, so that npm links it at install time, when dist/ is not built yet.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error(
    'restante: the command is not built yet. Run `npm run build` in the repository once (npm start does it too).',
  );
  process.exitCode = 1;
}
