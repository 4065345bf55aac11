// npm run faults: tries to make the system lose something. Arguments go to it: npm run faults -- --help
import { bundle } from './lib/bundle-e2e.mjs';
import { run } from './lib/run.mjs';
import { build, install } from './lib/setup.mjs';

await install();
await build();
// As deep in the tree as its source: both find what is beside them by the same way.
const program = await bundle('e2e/faults/main.ts', 'e2e/dist/faults.mjs');
const { code } = await run(process.execPath, ['--enable-source-maps', program, ...process.argv.slice(2)]);
process.exitCode = code;
