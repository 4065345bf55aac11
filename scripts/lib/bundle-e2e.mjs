import { fail, run } from './run.mjs';

/** Makes one file of a program of e2e/, which has no build of its own: packages stay outside, our own too unless their source is wanted. @returns its path */
export async function bundle(entry, output, { ownSource = false } = {}) {
  const options = [
    '--bundle',
    '--platform=node',
    '--format=esm',
    '--packages=external',
    '--sourcemap',
    '--log-level=warning',
    ...(ownSource ? ['--alias:@restante/shared=./shared/src'] : []),
  ];
  const { code, output: said } = await run('esbuild', [entry, `--outfile=${output}`, ...options], { quiet: true });
  if (code !== 0) fail(`${said}\n${entry} could not be bundled`);
  return output;
}
