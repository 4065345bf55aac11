import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { NodeHttpHandler } from '@smithy/node-http-handler';

const MAX_SOCKETS = 32;
const REQUEST_TIMEOUT_MS = 5_000;
/** Without a byte. Below 6 s it is set at once, above that the handler waits 3 s before it does. */
const SILENCE_TIMEOUT_MS = 5_000;
const CONNECTION_TIMEOUT_MS = 2_000;

/** How a client of AWS asks: with few sockets, and never for ever. It is closed with its client. */
export function awsRequests(): NodeHttpHandler {
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS };
  return new NodeHttpHandler({
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent(agent),
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Without it a request whose answer was lost is only warned of, and waits for ever, and what waits for it too, such as a commit.
    throwOnRequestTimeout: true,
    // The other ends with the headers of the answer: a body that never comes would be waited for without this one.
    socketTimeout: SILENCE_TIMEOUT_MS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
  });
}

/** How a client of AWS is made. With an endpoint it is an engine of this machine, which takes any credentials. */
export function awsClientOptions({ endpoint, region }: { endpoint: string | undefined; region: string }) {
  return {
    region,
    ...(endpoint ? { endpoint, credentials: { accessKeyId: 'local', secretAccessKey: 'local' } } : {}),
    requestHandler: awsRequests(),
  };
}
