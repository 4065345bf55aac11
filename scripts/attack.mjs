// npm run attack [-- SECONDS [SCALE]]: 10,000 hostile sockets while 100 honest users talk. See e2e/attack/main.ts.
import { bundle } from './lib/bundle-e2e.mjs';
import { run } from './lib/run.mjs';
import { build, install } from './lib/setup.mjs';

await install();
await build();
// As deep in the tree as its source: both find what is beside them by the same way.
const program = await bundle('e2e/attack/main.ts', 'e2e/dist/attack.mjs');
const { code } = await run(process.execPath, ['--enable-source-maps', program, ...process.argv.slice(2)]);
process.exitCode = code;
