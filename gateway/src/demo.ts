import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { USER_PATTERN } from '@restante/shared/contract/ids';
import { SignJWT } from 'jose';
import type { TemplatedApp } from 'uws-current';
import type { Config } from './config.ts';
import { sendJson, sendProblem } from './http.ts';

/** What the build puts into DEMO_DIR; nothing else is served from there. */
const FILES = ['index.html', 'demo.css', 'demo.js', 'demo.js.map', 'icon.svg'];
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
};
const HEADERS = {
  // The page talks to the gateways of this machine alone, and takes no script but its own.
  'content-security-policy':
    "default-src 'self'; connect-src 'self' ws: http:; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/**
 * The web demo, in development only: the page, and a token for whoever asks for one. Read once; where the demo is not built, nothing is
 * served.
 * @throws Error in production: there, whoever asks must not be whom they say
 */
export async function serveDemo(app: TemplatedApp, config: Config): Promise<void> {
  const { DEMO_DIR, JWT_SECRET, JWT_AUDIENCE, NODE_ENV } = config;
  if (!DEMO_DIR) return;
  if (NODE_ENV === 'production' || !JWT_SECRET)
    throw new Error('DEMO_DIR is for development, with JWT_SECRET: unset it');
  const files = await Promise.all(FILES.map((name) => readFile(join(DEMO_DIR, name)).catch(() => undefined)));
  if (!files[0]) return;
  FILES.forEach((name, i) => {
    const file = files[i];
    if (!file) return;
    const paths = name === 'index.html' ? ['/demo/', '/demo/index.html'] : [`/demo/${name}`];
    for (const path of paths) {
      app.get(path, (response) => {
        response.writeHeader('content-type', TYPES[extname(name)] ?? 'application/octet-stream');
        for (const [header, value] of Object.entries(HEADERS)) response.writeHeader(header, value);
        response.end(file);
      });
    }
  });
  for (const path of ['/', '/demo']) {
    app.get(path, (response) => {
      response.writeStatus('302 Found').writeHeader('location', '/demo/').end();
    });
  }
  const secret = new TextEncoder().encode(JWT_SECRET);
  app.get('/demo/token', (response, request) => {
    const user = request.getQuery('user') ?? '';
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    if (!USER_PATTERN.test(user))
      return sendProblem(response, 400, 'bad_field', 'user: must match [A-Za-z0-9_.@-]{1,128}');
    const token = new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(user)
      .setAudience(JWT_AUDIENCE)
      .setExpirationTime('1h');
    void token.sign(secret).then((signed) => {
      if (!aborted) response.cork(() => sendJson(response, 200, { token: signed }));
    });
  });
}
