import { MAX_FRAME_BYTES } from '@restante/shared/contract/client-frames';
import { ERROR_CODES, type ErrorCode } from '@restante/shared/contract/codes';
import type { HttpRequest, HttpResponse } from 'uws-current';
import { AuthError, type Authenticate, type Identity } from './auth.ts';
import { metrics } from './events.ts';

/** An answer that is a problem: thrown by handlers, written as RFC 9457 `application/problem+json`. */
export class Problem extends Error {
  override name = 'Problem';
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, detail: string, retryAfterMs?: number) {
    super(detail);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

const STATUS_TEXT: Record<number, string> = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

export function sendJson(
  response: HttpResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeStatus(`${status} ${STATUS_TEXT[status] ?? ''}`);
  response.writeHeader('content-type', 'application/json');
  response.writeHeader('cache-control', 'no-store');
  response.writeHeader('x-content-type-options', 'nosniff');
  for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
  response.end(status === 204 ? undefined : JSON.stringify(body));
}

export function sendProblem(
  response: HttpResponse,
  status: number,
  code: ErrorCode,
  detail: string,
  retryAfterSeconds?: number,
): void {
  const title = STATUS_TEXT[status] ?? 'Error';
  response.writeStatus(`${status} ${title}`);
  response.writeHeader('content-type', 'application/problem+json');
  response.writeHeader('cache-control', 'no-store');
  response.writeHeader('x-content-type-options', 'nosniff');
  if (status === 401) response.writeHeader('www-authenticate', 'Bearer');
  if (retryAfterSeconds !== undefined) response.writeHeader('retry-after', String(retryAfterSeconds));
  response.end(JSON.stringify({ type: 'about:blank', title, status, code, detail }));
}

export type Call = { identity: Identity; query: URLSearchParams; params: string[]; body: unknown };
export type Answer = { status: number; body?: unknown };
export type Handler = (call: Call) => Promise<Answer>;

/**
 * Wraps a handler of a JSON API: token, body (JSON, at most 64 KiB), answer, problems. Everything of the request is read before the first
 * await, and nothing is written after the client has gone, as uWebSockets demands.
 */
export function jsonRoute(
  route: string,
  authenticate: Authenticate,
  withBody: boolean,
  handler: Handler,
  paramCount = 0,
) {
  return (response: HttpResponse, request: HttpRequest): void => {
    const authorization = request.getHeader('authorization');
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    const query = new URLSearchParams(request.getQuery());
    const params = Array.from({ length: paramCount }, (_, index) => decodeParam(request.getParameter(index) ?? ''));
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    const body = withBody ? readBody(response) : Promise.resolve(undefined);
    // Until it is awaited below, a body that is refused must not be an unhandled rejection.
    body.catch(() => undefined);
    authenticate(token)
      .then(async (identity) => handler({ identity, query, params, body: parseJson(await body, withBody) }))
      .then(
        ({ status, body: answer }) => {
          metrics.httpRequests.inc({ route, status });
          if (!aborted) response.cork(() => sendJson(response, status, answer));
        },
        (error: unknown) => {
          const { status, code, detail, retryAfterSeconds } = describe(error);
          metrics.httpRequests.inc({ route, status });
          if (!aborted) response.cork(() => sendProblem(response, status, code, detail, retryAfterSeconds));
        },
      );
  };
}

function describe(error: unknown): { status: number; code: ErrorCode; detail: string; retryAfterSeconds?: number } {
  if (error instanceof AuthError) return { status: 401, code: 'unauthorized', detail: error.message };
  if (error instanceof Problem) {
    const { status } = ERROR_CODES[error.code];
    const wait = error.retryAfterMs ?? (status === 503 ? 1000 : undefined);
    return {
      status,
      code: error.code,
      detail: error.message,
      ...(wait === undefined ? {} : { retryAfterSeconds: Math.max(1, Math.ceil(wait / 1000)) }),
    };
  }
  if (error instanceof Error && error.name === 'UnavailableError') {
    return { status: 503, code: 'overloaded', detail: 'a store is not reachable now', retryAfterSeconds: 1 };
  }
  return { status: 500, code: 'internal', detail: 'the request could not be served' };
}

function decodeParam(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

/** @throws Problem too_large as soon as more came than is taken; the rest is read and dropped. */
function readBody(response: HttpResponse): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.onData((chunk, last) => {
      bytes += chunk.byteLength;
      if (bytes > MAX_FRAME_BYTES) {
        chunks.length = 0;
        reject(new Problem('too_large', `the body has more than ${MAX_FRAME_BYTES} bytes`));
      } else chunks.push(Buffer.from(new Uint8Array(chunk)));
      if (last) resolve(Buffer.concat(chunks));
    });
  });
}

function parseJson(body: Buffer | undefined, withBody: boolean): unknown {
  if (!withBody || body === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new Problem('bad_frame', 'the body is not JSON in UTF-8');
  }
}
