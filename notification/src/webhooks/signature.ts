import { createHmac } from 'node:crypto';

const SECRET_PREFIX = 'whsec_';

/** The key of a secret: the base64 behind `whsec_`, as Standard Webhooks writes it, or its own bytes. */
const keyOf = (secret: string): Buffer =>
  secret.startsWith(SECRET_PREFIX) ? Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64') : Buffer.from(secret);

/** The headers of a webhook (standardwebhooks.com): HMAC-SHA256 over id.timestamp.body, so that none can be made, changed or sent again later. */
export function signedHeaders(secret: string, id: string, body: string, nowMs: number): Record<string, string> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const mac = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${mac}` };
}
