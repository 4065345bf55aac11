import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** vitest's global setup of the e2e tests: they run what is built, so that must be of the sources as they are. */
export function setup(): void {
  const script = fileURLToPath(new URL('../../scripts/build.mjs', import.meta.url));
  execFileSync(process.execPath, [script], { stdio: 'inherit' });
}
