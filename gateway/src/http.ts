import { bodyTooLarge, describeIssues, MAX_FRAME_BYTES } from '@restante/shared/contract/client-frames';
import { ERROR_CODES, type ErrorCode } from '@restante/shared/contract/codes';
import type { CallName, CallSpec, RequestOf } from '@restante/shared/contract/http-calls';
import type { HttpRequest, HttpResponse } from 'uws-current';
import { clientAddress } from './addresses.ts';
import { AuthError, type Authenticate, type Identity } from './auth.ts';
import { metrics } from './events.ts';
import { countLimited, type Guard } from './guard.ts';

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
  closes = false,
): void {
  const title = STATUS_TEXT[status] ?? 'Error';
  response.writeStatus(`${status} ${title}`);
  response.writeHeader('content-type', 'application/problem+json');
  response.writeHeader('cache-control', 'no-store');
  response.writeHeader('x-content-type-options', 'nosniff');
  if (status === 401) response.writeHeader('www-authenticate', 'Bearer');
  if (retryAfterSeconds !== undefined) response.writeHeader('retry-after', String(retryAfterSeconds));
  response.end(JSON.stringify({ type: 'about:blank', title, status, code, detail }), closes);
}

/** Where nobody knows better: a store that is away is back soon, a limit that is reached is not. */
const RETRY_AFTER_MS: Record<number, number> = { 429: 60_000, 503: 1_000 };

/** A request as a handler gets it: checked by the schemas of its call. */
export type Call<N extends CallName> = RequestOf<N> & { identity: Identity };
/** Who is let in: by their token, and from where too many bad ones came, nobody. */
export type Door = {
  authenticate: Authenticate;
  guard: Pick<Guard, 'manyBadTokens' | 'badToken'>;
  trustsForwardedFor: boolean;
};
type AnyCall = { identity: Identity; params: unknown; query: unknown; body: unknown };

/**
 * Wraps a handler of a JSON API: token, parameters, body (JSON, at most 64 KiB), answer, problems. Everything of the request is read before
 * the first await, and nothing is written after the client has gone, as uWebSockets demands.
 */
export function jsonRoute(spec: CallSpec, door: Door, handler: (call: AnyCall) => Promise<unknown>) {
  const route = `${spec.method.toUpperCase()} ${spec.path}`;
  const names = Array.from(spec.path.matchAll(/\{(\w+)\}/g), ([, name]) => name!);
  return (response: HttpResponse, request: HttpRequest): void => {
    const address = clientAddress(response, request, door.trustsForwardedFor);
    const many = door.guard.manyBadTokens(address, Date.now());
    if (many) {
      metrics.httpRequests.inc({ route, status: 429 });
      countLimited('RATE_UNAUTHORIZED_PER_MINUTE');
      // With its connection, as a handshake that is refused: what it would send is not read.
      return sendProblem(response, 429, 'rate_limited', many.detail, Math.ceil(many.waitMs / 1000), true);
    }
    const authorization = request.getHeader('authorization');
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    const search = new URLSearchParams(request.getQuery());
    const given = Object.fromEntries(names.map((name, i) => [name, decodeParam(request.getParameter(i) ?? '')]));
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    const read = spec.body ? readBody(response) : undefined;
    // Until it is awaited below, a body that is refused must not be an unhandled rejection.
    read?.catch(() => undefined);
    const answered = async () => {
      const identity = await door.authenticate(token);
      const params = checked(spec.params, given, 'path');
      const query = checked(spec.query, spec.query && asked(spec.query, search), 'query');
      const body = checked(spec.body, read && parseJson(await read), 'body');
      return handler({ identity, params, query, body });
    };
    answered().then(
      (answer) => {
        metrics.httpRequests.inc({ route, status: spec.status });
        if (!aborted) response.cork(() => sendJson(response, spec.status, answer));
      },
      (error: unknown) => {
        const { status, code, detail, retryAfterSeconds } = describe(error);
        metrics.httpRequests.inc({ route, status });
        if (error instanceof AuthError) door.guard.badToken(address, Date.now());
        if (!aborted) response.cork(() => sendProblem(response, status, code, detail, retryAfterSeconds));
      },
    );
  };
}

/** What the query says of the parameters that the call knows. */
function asked({ shape }: NonNullable<CallSpec['query']>, search: URLSearchParams): Record<string, string | undefined> {
  return Object.fromEntries(Object.keys(shape).map((name) => [name, search.get(name) ?? undefined]));
}

/** @throws Problem too_large, bad_field */
function checked(schema: CallSpec['body'], value: unknown, what: string): unknown {
  const parsed = schema?.safeParse(value);
  if (!parsed || parsed.success) return parsed?.data;
  throw new Problem(bodyTooLarge(value) ? 'too_large' : 'bad_field', describeIssues(parsed.error, what));
}

function describe(error: unknown): { status: number; code: ErrorCode; detail: string; retryAfterSeconds?: number } {
  if (error instanceof AuthError) return { status: 401, code: 'unauthorized', detail: error.message };
  if (error instanceof Problem) {
    const { status } = ERROR_CODES[error.code];
    const wait = error.retryAfterMs ?? RETRY_AFTER_MS[status];
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

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new Problem('bad_frame', 'the body is not JSON in UTF-8');
  }
}
