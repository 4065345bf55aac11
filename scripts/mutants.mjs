// npm run mutants: shows that the fault runs catch mistakes. Arguments go to it: npm run mutants -- --help
import { bundle } from './lib/bundle-e2e.mjs';
import { run } from './lib/run.mjs';
import { build, install } from './lib/setup.mjs';

await install();
await build();
const program = await bundle('e2e/faults/mutants/main.ts', 'e2e/dist/mutants.mjs');
const { code } = await run(process.execPath, ['--enable-source-maps', program, ...process.argv.slice(2)]);
process.exitCode = code;
