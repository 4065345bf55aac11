import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** What an app that shows a chat in a browser imports, without end-to-end encryption. */
const APP = `
export { RestanteClient } from './client.ts';
export { indexedDbStore, deleteIndexedDbStore } from './store/indexeddb-store.ts';
`;

/** @returns bytes of the browser bundle, minified, as sent and as unpacked. */
export async function measureBundle(source = APP) {
  const result = await build({
    stdin: { contents: source, resolveDir: new URL('src', import.meta.url).pathname, loader: 'ts' },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    logLevel: 'error',
  });
  const [file] = result.outputFiles;
  return { bytes: file.contents.length, gzippedBytes: gzipSync(file.contents, { level: 9 }).length, text: file.text };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { bytes, gzippedBytes } = await measureBundle();
  process.stdout.write(`${gzippedBytes} bytes gzipped, ${bytes} unpacked\n`);
}
