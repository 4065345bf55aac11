// Builds what npm start runs, where it has changed. Further packages may be named: node scripts/build.mjs bench
import { build } from './lib/setup.mjs';

await build(process.argv.slice(2));
