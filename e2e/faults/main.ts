import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SignJWT } from 'jose';
import { check, type Report } from './checker/check.ts';
import { faultRun } from './fault-run.ts';
import { readHistoryFile } from './history.ts';
import { HELP, type Options, readOptions, UsageError } from './options.ts';
import { exitCodeOf, verdictOf } from './verdict.ts';

/** More of them say nothing new: violations.jsonl beside the history has all. */
const SHOWN_VIOLATIONS = 20;
const TOKEN_SECONDS = 24 * 3600;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === 'help') say(HELP);
  else process.exitCode = await main(options);
} catch (error) {
  process.stderr.write(
    `${error instanceof UsageError ? `${error.message}\nnpm run faults -- --help` : (error as Error).stack}\n`,
  );
  process.exitCode = error instanceof UsageError ? 2 : 3;
}
// What a nemesis has started may still be at its end.
process.exit();

async function main(options: Options): Promise<number> {
  if (options.check !== undefined) return tell(check(readHistoryFile(options.check)), options.check);
  const folder = resolve(options.history ?? defaultFolder(options.seed));
  const { seed, minutes, nemeses, unhurt, rate, targets } = options;
  const target = targets.length > 0 ? { urls: targets, token: tokenSource(options) } : undefined;
  say(`seed ${seed}, ${minutes} min, ${nemeses.length} nemeses; the history is kept in ${folder}`);
  const how = { seed, minutes, nemeses, unhurt, rate, folder, say, ...(target ? { target } : {}) };
  return tell(await faultRun(how), folder);
}

function tell(report: Report, folder: string): number {
  const { violations } = report;
  writeFileSync(join(folder, 'violations.jsonl'), violations.map((one) => `${JSON.stringify(one)}\n`).join(''));
  for (const { kind, detail } of violations.slice(0, SHOWN_VIOLATIONS)) say(`  ${kind}: ${detail}`);
  if (violations.length > SHOWN_VIOLATIONS) say(`  and ${violations.length - SHOWN_VIOLATIONS} more`);
  say(`history: ${folder}`);
  say(verdictOf(report));
  return exitCodeOf(report);
}

function defaultFolder(seed: number): string {
  const at = new Date().toISOString().replace(/[:.]/g, '-');
  return `.restante/faults/seed-${seed}-${at}`;
}

function tokenSource({ secret, tokenCommand }: Options): (user: string) => Promise<string> {
  if (tokenCommand !== undefined)
    return async (user) =>
      execFileSync('/bin/sh', ['-c', tokenCommand], {
        env: { ...process.env, USER_ID: user },
        encoding: 'utf8',
      }).trim();
  return (user) =>
    new SignJWT({ sub: user, aud: 'restante', exp: Math.floor(Date.now() / 1000) + TOKEN_SECONDS })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(secret));
}
