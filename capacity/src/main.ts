import { parseSize, usage } from './options.ts';
import { plan } from './plan.ts';
import { render } from './render.ts';

const args = process.argv.slice(2);
try {
  process.stdout.write(`${args.includes('--help') ? usage() : render(plan(parseSize(args)))}\n`);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n\n${usage()}\n`);
  process.exitCode = 2;
}
