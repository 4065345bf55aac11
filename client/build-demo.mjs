// Bundles the demo into dist/demo, which the first gateway serves in development.
import { cpSync, mkdirSync } from 'node:fs';
import { build } from 'esbuild';

const here = new URL('.', import.meta.url).pathname;
mkdirSync(`${here}dist/demo`, { recursive: true });
for (const file of ['index.html', 'demo.css', 'icon.svg']) cpSync(`${here}demo/${file}`, `${here}dist/demo/${file}`);
await build({
  entryPoints: [`${here}demo/main.ts`],
  outfile: `${here}dist/demo/demo.js`,
  bundle: true,
  minify: true,
  sourcemap: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  logLevel: 'error',
});
