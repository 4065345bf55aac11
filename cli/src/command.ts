import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What a command may touch of the outside, so that a test can hold it. */
export type Io = {
  env: Record<string, string | undefined>;
  cwd: string;
  /** A person reads what goes to `out`. */
  terminal: boolean;
  /** The result: what a pipe gets. */
  out: (line: string) => void;
  /** What a person wants to know beside it. */
  note: (line: string) => void;
};

export type Command = {
  name: string;
  summary: string;
  help: string;
  run: (args: string[], io: Io) => Promise<ExitCode>;
};

export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command line is wrong: exit code 2, with the command's usage in reach. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** The command is right but can't succeed: exit code 1. `remedy` says what to do about it. */
export class FailedError extends Error {
  override name = 'FailedError';
  readonly remedy: string | undefined;
  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}

export type Options = NonNullable<ParseArgsConfig['options']>;
export type Parsed<O extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: O; allowPositionals: true; strict: true }>
>;

/** Options that every command which talks to the system takes. */
export const TARGET_OPTIONS = {
  gateway: { type: 'string', short: 'g' },
  token: { type: 'string' },
  secret: { type: 'string' },
  'data-dir': { type: 'string' },
  json: { type: 'boolean' },
} as const satisfies Options;

export const TARGET_HELP = `Where the system is:
  -g, --gateway G     a URL, a name as gateway-2, or a number; from run.json otherwise
      --token JWT     speak with this token   (env RESTANTE_TOKEN)
      --secret S      sign one with this secret   (env JWT_SECRET; from run.json otherwise)
      --data-dir DIR  where run.json is   (env DATA_DIR; the nearest .restante otherwise)
      --json          one JSON object a line, for programs`;

/** @throws UsageError for an unknown option, a missing value or too many words. */
export function parseCommandLine<const O extends Options>(args: string[], options: O, maxWords: number): Parsed<O> {
  let parsed: Parsed<O>;
  try {
    parsed = parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message.split('. To specify')[0] ?? 'bad option');
  }
  const extra = parsed.positionals[maxWords];
  if (extra !== undefined) throw new UsageError(`unexpected ${JSON.stringify(extra)} (quote a text that has spaces)`);
  return parsed;
}

/** @throws UsageError where the option is given and not an integer of at least `min`. */
export function integerOption(name: string, text: string | undefined, fallback: number, min: number): number {
  if (text === undefined) return fallback;
  if (!/^\d+$/.test(text) || Number(text) < min)
    throw new UsageError(`--${name} must be an integer of at least ${min}, not ${JSON.stringify(text)}`);
  return Number(text);
}
