import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';

const MAX_BODY_BYTES = 16 * 1024;
/** Wrong tokens that are answered within a window; further ones are not even looked at. */
const MAX_WRONG_TOKENS = 10;
const WRONG_TOKENS_WINDOW_MS = 10_000;

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
};

/** An answer that is a problem. */
export class OperatorProblem extends Error {
  override name = 'OperatorProblem';
  readonly status: number;
  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { ...HEADERS, 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const file = (name: string, type: string) => ({ body: readFileSync(new URL(`./page/${name}`, import.meta.url)), type });
const PAGE: Record<string, { body: Buffer; type: string }> = {
  '/operator/': file('index.html', 'text/html; charset=utf-8'),
  '/operator/page.css': file('page.css', 'text/css; charset=utf-8'),
  '/operator/page.mjs': file('page.mjs', 'text/javascript; charset=utf-8'),
  '/operator/dom.mjs': file('dom.mjs', 'text/javascript; charset=utf-8'),
};

/** The page holds no secret: it asks for the token, and keeps it for as long as its tab is open. @returns whether it was asked for */
export function servePage(path: string, response: ServerResponse): boolean {
  if (path === '/operator') {
    response.writeHead(302, { ...HEADERS, location: '/operator/' }).end();
    return true;
  }
  const found = PAGE[path];
  if (!found) return false;
  response.writeHead(200, { ...HEADERS, 'content-type': found.type }).end(found.body);
  return true;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Lets in who has the token, by a comparison that tells nothing by its time. */
export class Gatekeeper {
  readonly #expected: Buffer;
  #wrong: number[] = [];

  constructor(token: string) {
    this.#expected = digest(token);
  }

  /** @throws OperatorProblem 401, 403 or 429 */
  check({ headers }: IncomingMessage, nowMs: number): void {
    const { authorization = '', origin, host } = headers;
    // Without a cookie there is nothing that another page could use; said all the same.
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
      throw new OperatorProblem(403, 'another page may not call this');
    this.#wrong = this.#wrong.filter((at) => at > nowMs - WRONG_TOKENS_WINDOW_MS);
    if (this.#wrong.length >= MAX_WRONG_TOKENS)
      throw new OperatorProblem(429, 'too many wrong tokens: wait 10 seconds');
    const given = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), this.#expected)) return;
    this.#wrong.push(nowMs);
    throw new OperatorProblem(401, 'ADMIN_TOKEN is needed: Authorization: Bearer <token>');
  }
}

/** @throws OperatorProblem 400, 413 or 415 */
export async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? ''))
    throw new OperatorProblem(415, 'the body must be application/json');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES) throw new OperatorProblem(413, `the body has more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new OperatorProblem(400, 'the body is not a JSON object');
}
