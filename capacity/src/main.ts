import { parseSize, usage } from './options.ts';
import { plan } from './plan.ts';
import { render } from './render.ts';

try {
  process.stdout.write(`${render(plan(parseSize(process.argv.slice(2))))}\n`);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n\n${usage()}\n`);
  process.exitCode = 2;
}
