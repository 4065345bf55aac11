import { execFileSync, spawnSync } from 'node:child_process';
import { deploySteps, type Step } from './deploy-steps.ts';
import { STAGES, type StageName } from './stages.ts';

/** `npm run deploy -- dev`: needs credentials, the AWS command line and Docker with buildx (docs/deploy.md). */
const output = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' }).trim();

function run({ about, command, pipe, env }: Step): void {
  process.stdout.write(`\n== ${about}\n`);
  const [name, ...args] = command as [string, ...string[]];
  const input = pipe === undefined ? undefined : output(pipe[0]!, ...pipe.slice(1));
  const stdin = input === undefined ? 'inherit' : 'pipe';
  const { status, error } = spawnSync(name, args, {
    stdio: [stdin, 'inherit', 'inherit'],
    input,
    env: { ...process.env, ...env },
  });
  if (status !== 0) throw new Error(`${about}: ${name} ${error?.message ?? `ended with ${status}`}`);
}

try {
  const name = process.argv[2] as StageName | undefined;
  const stage = name === undefined ? undefined : STAGES[name];
  if (stage === undefined) throw new Error(`say which stage: npm run deploy -- ${Object.keys(STAGES).join('|')}`);
  // The tag says which commit runs: what is not committed could not be found again.
  if (output('git', 'status', '--porcelain') !== '') throw new Error('commit first: a release is a commit');
  const imageTag = process.argv[3] ?? output('git', 'rev-parse', '--short=12', 'HEAD');
  const account = output('aws', 'sts', 'get-caller-identity', '--query', 'Account', '--output', 'text');
  for (const step of deploySteps(stage, account, imageTag)) run(step);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
