// npm run fuzz [-- --minutes 10]: coverage-guided fuzzing of all that reads from a wire. See e2e/fuzz/main.ts.
import { readFileSync, writeFileSync } from 'node:fs';
import { createInstrumenter } from 'istanbul-lib-instrument';
import { bundle } from './lib/bundle-e2e.mjs';
import { run } from './lib/run.mjs';
import { install } from './lib/setup.mjs';

await install();
// Ours from source, so that its branches are counted; packages stay as they are.
const plain = await bundle('e2e/fuzz/targets.ts', 'e2e/dist/fuzz-targets-plain.mjs', { ownSource: true });
const instrumenter = createInstrumenter({ esModules: true, coverageVariable: '__restante_fuzz__', compact: true });
writeFileSync('e2e/dist/fuzz-targets.mjs', instrumenter.instrumentSync(readFileSync(plain, 'utf8'), plain));
await bundle('e2e/fuzz/worker.ts', 'e2e/dist/fuzz-worker.mjs');
const program = await bundle('e2e/fuzz/main.ts', 'e2e/dist/fuzz.mjs', { ownSource: true });
const { code } = await run(process.execPath, [program, ...process.argv.slice(2)]);
process.exitCode = code;
