import { readFileSync, writeFileSync } from 'node:fs';
import { rewritten } from './docs.ts';

/** Brings docs/scale.md up to date with the constants: `node capacity/dist/write-docs.js`. */
const page = new URL('../../docs/scale.md', import.meta.url);
const { markdown, blocks } = rewritten(readFileSync(page, 'utf8'));
writeFileSync(page, markdown);
process.stdout.write(`docs/scale.md: ${blocks} sizes\n`);
