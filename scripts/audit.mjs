// npm audit, where the registry answers it: fails on what is known to be wrong in our packages, says so where that is not to be had.
import { run } from './lib/run.mjs';

const { output } = await run('npm', ['audit', '--audit-level=high', '--json'], { quiet: true });
const report = parse(output);
const counts = report?.metadata?.vulnerabilities;
if (!counts) {
  console.log(`not to be had: ${report?.message ?? report?.error?.summary ?? 'the registry did not answer'}`);
} else {
  console.log(`high ${counts.high}, critical ${counts.critical}, of all kinds ${counts.total}`);
  for (const [name, { severity }] of Object.entries(report.vulnerabilities)) console.log(`${severity}: ${name}`);
  process.exitCode = counts.high + counts.critical > 0 ? 1 : 0;
}

/** npm says more than its JSON. */
function parse(text) {
  try {
    return JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1));
  } catch {
    return undefined;
  }
}
