import { parseArgs } from 'node:util';
import { CLIENT_NEMESES, NEMESES } from './nemeses/all.ts';

export const HELP = `npm run faults -- [--seed N] [--minutes M] [--nemeses a,b] [--history DIR]
npm run faults -- --target URL [--target URL] --secret S [--minutes M]
npm run faults -- --check DIR

Plays users whose devices come, drop, ack, repeat and leave by a seed, hurts the system meanwhile, heals it, waits until all is at rest, and
holds what happened against what is promised: nothing accepted is lost, nobody gets what is not theirs, order, no repeat of what was acked.

  --seed N         which run: the same seed plans the same one (default 1)
  --minutes M      how long the work under faults takes; the quiet comes on top (default 2)
  --nemeses a,b    only these; none: none at all, as it must be for a --target of https. Default: all of them
  --rate R         sends a second (default 20)
  --history DIR    where the history and the services' logs are kept (default .restante/faults/…; printed at the end)
  --check DIR      no run: judges a history that was kept
  --target URL     a gateway of a deployment that runs already; several for several. It is hurt only from the clients' side, nothing but
                   what clients see is checked, and users, groups and messages of a fresh prefix stay in it
  --secret S       signs the users' tokens for --target, HS256 (or JWT_SECRET)
  --token-command  instead of a secret: a command that prints the token of the user in $USER_ID

Exit code: 0 everything holds · 1 something was broken · 2 wrong arguments · 3 it could not run, or proves nothing.

Nemeses:
${NEMESES.map(({ name, about }) => `  ${name.padEnd(24)} ${about}`).join('\n')}
`;

const NONE = 'none';

export type Options = {
  seed: number;
  minutes: number;
  /** By name. */
  nemeses: readonly string[];
  /** --nemeses none. */
  unhurt: boolean;
  rate: number;
  history: string | undefined;
  check: string | undefined;
  targets: readonly string[];
  secret: string | undefined;
  tokenCommand: string | undefined;
};

/** Wrong arguments: `message` names the argument, its value and what it must be. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** @returns 'help' where it is asked for. @throws UsageError */
export function readOptions(args: readonly string[], env: Record<string, string | undefined>): Options | 'help' {
  const { values } = parse(args);
  if (values.help) return 'help';
  const targets = values.target ?? [];
  for (const target of targets)
    if (!/^https?:\/\/[^/]+\/?$/.test(target))
      throw new UsageError(`--target ${target}: give a gateway's URL, such as http://127.0.0.1:8080`);
  const secret = values.secret ?? env.JWT_SECRET;
  const tokenCommand = values['token-command'];
  if (targets.length > 0 && secret === undefined && tokenCommand === undefined)
    throw new UsageError('--target needs --secret (or JWT_SECRET), or --token-command: users need tokens');
  return {
    seed: numberOf('--seed', values.seed ?? '1', 0, 2 ** 31, true),
    minutes: numberOf('--minutes', values.minutes ?? '2', 0.05, 24 * 60, false),
    rate: numberOf('--rate', values.rate ?? '20', 0.1, 1_000, false),
    nemeses: nemesesOf(values.nemeses, targets),
    unhurt: values.nemeses === NONE,
    history: values.history,
    check: values.check,
    targets: targets.map((target) => target.replace(/\/$/, '')),
    secret,
    tokenCommand,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean' },
        seed: { type: 'string' },
        minutes: { type: 'string' },
        rate: { type: 'string' },
        nemeses: { type: 'string' },
        history: { type: 'string' },
        check: { type: 'string' },
        target: { type: 'string', multiple: true },
        secret: { type: 'string' },
        'token-command': { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function numberOf(option: string, text: string, min: number, max: number, whole: boolean): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  throw new UsageError(`${option} ${text}: must be ${whole ? 'an integer' : 'a number'} from ${min} to ${max}`);
}

/** Through TLS nothing can be put between: a certificate is of its gateway's name. */
function possibleNemeses(targets: readonly string[]): readonly string[] {
  if (targets.some((target) => target.startsWith('https:'))) return [];
  return (targets.length > 0 ? CLIENT_NEMESES : NEMESES).map(({ name }) => name);
}

function nemesesOf(text: string | undefined, targets: readonly string[]): readonly string[] {
  const possible = possibleNemeses(targets);
  if (text === NONE) return [];
  if (possible.length === 0)
    throw new UsageError(
      `--target ${targets[0]}: nothing can be put between, so that nothing is hurt: say --nemeses ${NONE}`,
    );
  if (text === undefined) return possible;
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !possible.includes(name));
  if (unknown === undefined) return names;
  throw new UsageError(`--nemeses ${unknown}: must be some of ${possible.join(', ')}, or ${NONE}`);
}
