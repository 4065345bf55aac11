import { FailedError } from './command.ts';
import type { Gateway } from './target.ts';

const TIMEOUT_MS = 10_000;

/** A problem+json answer. */
export class ProblemError extends FailedError {
  override name = 'ProblemError';
  readonly status: number;
  readonly code: string;
  readonly retryAfterMs: number | undefined;
  constructor(status: number, code: string, message: string, retryAfterMs: number | undefined) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** @throws ProblemError where the answer is not 2xx, FailedError where there is none. */
export async function callHttp(
  gateway: Gateway,
  token: string,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${gateway.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await response.text();
  } catch (error) {
    const cause = (error as Error & { cause?: Error }).cause;
    throw new FailedError(
      `${method} ${gateway.url}${path}: ${cause?.message ?? (error as Error).message}`,
      'is it running? `npx restante status`',
    );
  }
  const value = parseJson(text);
  if (response.ok) return value;
  const problem = (value ?? {}) as { code?: string; detail?: string; title?: string };
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  throw new ProblemError(
    response.status,
    problem.code ?? '',
    `${method} ${path}: ${response.status} ${[problem.code, problem.detail ?? problem.title].filter(Boolean).join(': ') || text.slice(0, 200)}`,
    Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
