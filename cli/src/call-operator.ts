import { userInfo } from 'node:os';
import { FailedError, type Io } from './command.ts';
import type { Target } from './target.ts';

const TIMEOUT_MS = 20_000;

/** Options of every command that speaks to the operator's API. */
export const OPERATOR_OPTIONS = { 'data-dir': { type: 'string' }, json: { type: 'boolean' } } as const;
export const OPERATOR_HELP = `      --data-dir DIR  where run.json is   (env DATA_DIR; the nearest .restante otherwise)
      --json          one JSON object, for programs; always so where the output is no terminal

The operator's API is found by RESTANTE_OPERATOR (the admin port of a notification process, as
http://127.0.0.1:9100) and ADMIN_TOKEN, or by run.json.

Exit codes: 0 ok, 1 failed, 2 usage.`;

/** @throws FailedError where it is not known, does not answer, or refuses */
export async function callOperator<T>(
  target: Target,
  io: Io,
  method: 'GET' | 'POST',
  path: string,
  body: object = {},
): Promise<T> {
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
      '`npx restante status` says what runs',
    );
  }
  const answer = (await response.json().catch(() => ({}))) as T & { detail?: string };
  if (!response.ok) throw new FailedError(answer.detail ?? `${url} answered ${response.status}`);
  return answer;
}
