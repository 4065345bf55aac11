import { userInfo } from 'node:os';
import { USER_PATTERN } from '@restante/shared/contract/ids';
import { FailedError, type Io, type Options, type Parsed, parseCommandLine, UsageError } from './command.ts';
import { resolveTarget, type Target } from './target.ts';

/** A redrive may have to wait for Kafka, twice for 30 s. */
const TIMEOUT_MS = 70_000;

/** Options of every command that speaks to the operator's API. */
export const OPERATOR_OPTIONS = { 'data-dir': { type: 'string' }, json: { type: 'boolean' } } as const;
export const OPERATOR_HELP = `      --data-dir DIR  where run.json is   (env DATA_DIR; the nearest .restante otherwise)
      --json          JSON, an object a line, for programs; always so where the output is no terminal

The operator's API is found by RESTANTE_OPERATOR (the admin port of a notification process, as
http://127.0.0.1:9100) and ADMIN_TOKEN, or by run.json.

Exit codes: 0 ok, 1 failed, 2 usage.`;

/** The API has answered, and said no. */
export class RefusedError extends FailedError {
  override name = 'RefusedError';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message, REMEDIES[status]);
    this.status = status;
  }
}

const REMEDIES: Record<number, string> = {
  401: 'set ADMIN_TOKEN to what notification has, or name the directory of its run.json: --data-dir',
  403: 'set OPERATOR_SHOWS_BODIES=true for notification and start it again, or do without --bodies',
};

/** @throws UsageError where the text is no user id */
export function userOf(word: string | undefined): string {
  if (word === undefined) throw new UsageError('which user?');
  if (!USER_PATTERN.test(word))
    throw new UsageError(`${JSON.stringify(word)} is no user id: [A-Za-z0-9_.@-], 1 to 128 characters`);
  return word;
}

type Method = 'GET' | 'POST';

/** What a command that speaks to the operator's API was given, how it calls it, and how it prints what comes. */
export type OperatorCommand<O extends Options> = {
  values: Parsed<O>['values'];
  words: string[];
  target: Target;
  json: boolean;
  call: <T extends object>(method: Method, path: string, body?: object) => Promise<T>;
  print: <T extends object>(answer: T, render: (answer: T) => string | string[]) => void;
};

/** @throws UsageError where the command line is wrong, FailedError where run.json can't be read */
export function operatorCommand<const O extends typeof OPERATOR_OPTIONS & Options>(
  args: string[],
  io: Io,
  { options, maxWords }: { options: O; maxWords: number },
): OperatorCommand<O> {
  const { values, positionals } = parseCommandLine(args, options, maxWords);
  const given: { json?: boolean; 'data-dir'?: string } = values;
  const target = resolveTarget(given, io.env, io.cwd);
  const json = given.json === true || !io.terminal;
  return {
    values,
    words: positionals,
    target,
    json,
    call: (method, path, body = {}) => callOperator(target, io, method, path, body),
    print(answer, render) {
      for (const line of json ? [JSON.stringify(answer)] : [render(answer)].flat()) io.out(line);
    },
  };
}

/** @throws FailedError where it is not known or does not answer, RefusedError where it refuses */
async function callOperator<T>(target: Target, io: Io, method: Method, path: string, body: object): Promise<T> {
  const { run, dataDir } = target;
  const url = io.env.RESTANTE_OPERATOR || run?.services.find(({ name }) => name.startsWith('notification-'))?.adminUrl;
  const token = io.env.ADMIN_TOKEN || run?.adminToken;
  if (!url || !token)
    throw new FailedError(
      `no operator's API is known: ${dataDir}/run.json is not there, or names none`,
      'run `npm start`, or set RESTANTE_OPERATOR and ADMIN_TOKEN',
    );
  let response: Response;
  try {
    response = await fetch(`${url.replace(/\/+$/, '')}/operator/api/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'x-operator': userInfo()
          .username.replace(/[^\w.@-]/g, '-')
          .slice(0, 64),
        ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
      },
      ...(method === 'POST' ? { body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    const cause = (error as Error & { cause?: Error }).cause;
    throw new FailedError(
      `${url}: ${cause?.message ?? (error as Error).message}`,
      '`npx restante status` says what runs; RESTANTE_OPERATOR names another address',
    );
  }
  const answer = (await response.json().catch(() => ({}))) as T & { detail?: string };
  if (!response.ok) throw new RefusedError(response.status, answer.detail ?? `${url} answered ${response.status}`);
  return answer;
}
