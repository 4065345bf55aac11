// npm run bench: the figures of the whole pipeline. Arguments go to the bench: npm run bench -- --help
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fail, ROOT, run } from './lib/run.mjs';
import { build, install, say } from './lib/setup.mjs';

const ENTRY = join('bench', 'dist', 'main.js');

await install();
say('building what has changed');
await build(['bench']);
if (!existsSync(join(ROOT, ENTRY))) fail(`${ENTRY} is not there`);
const { code } = await run(process.execPath, ['--enable-source-maps', ENTRY, ...process.argv.slice(2)]);
process.exitCode = code;
