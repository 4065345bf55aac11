import { randomBytes } from 'node:crypto';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { ErrorCode } from '@restante/shared/contract/codes';
import { DEVICE_PATTERN } from '@restante/shared/contract/ids';
import type { LogEnds } from '@restante/shared/inbox/devices-dynamo';
import { type ConnectReply, type DeviceStart, type Inbox, parseConnect } from '@restante/shared/inbox/inbox-redis';
import { messageOf, UnavailableError } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { HttpRequest, HttpResponse, us_socket_context_t } from 'uws-current';
import { type Addresses, clientAddress } from './addresses.ts';
import { AuthError, type Authenticate } from './auth.ts';
import type { Config } from './config.ts';
import { Connection, type Socket } from './connection.ts';
import { metrics } from './events.ts';
import { countLimited, type Guard, type Limit } from './guard.ts';
import { sendProblem } from './http.ts';
import { makeDurable } from './new-device.ts';
import type { OperatorOrders } from './operator-orders.ts';
import { originAllowed } from './origins.ts';
import type { Revocations } from './revocations.ts';
import type { SlotHolder } from './slot.ts';

export const SUBPROTOCOL = 'restante.v1';
const OVERLOAD_RETRY_SECONDS = 1;
/** Inbox and row may each be asked again what the other says, where a rebuild ends between: more is a device that is forgotten meanwhile. */
const MAKE_TURNS = 3;
/** Somebody must leave first. */
const FULL_RETRY_MS = 5_000;
/** Handshakes that wait for Redis at once; beyond it a storm is told to come back rather than queued. */
const MAX_PENDING = 2_000;

export type HandshakeContext = {
  config: Config;
  authenticate: Authenticate;
  inbox: Inbox;
  dynamo: DynamoDBClient;
  logEnds: LogEnds;
  slot: SlotHolder;
  orders: Pick<OperatorOrders, 'ready' | 'draining'>;
  revocations: Pick<Revocations, 'isRevoked'>;
  guard: Guard;
  addresses: Pick<Addresses, 'count'>;
  logger: Logger;
  /** The session is registered: the socket opens now. */
  opened(connection: Connection, reply: Extract<ConnectReply, { is: 'ok' | 'partial' }>): void;
  /** Any socket that is open. */
  anySocket(): Socket | undefined;
  /** The session was registered, but the client left before its socket opened. */
  abandoned(connection: Connection): void;
};

type Registered = {
  connection: Connection;
  reply: Extract<ConnectReply, { is: 'ok' | 'partial' }>;
  issuedAtMs: number | undefined;
};
type Refused = { status: number; code: ErrorCode; detail: string; retryAfterSeconds?: number; limit?: Limit };
let pending = 0;

/** What the request says, read at once: uWebSockets forbids to touch it after the first await. */
function readRequest(request: HttpRequest) {
  const protocols = request
    .getHeader('sec-websocket-protocol')
    .split(',')
    .map((protocol) => protocol.trim());
  const authorization = request.getHeader('authorization');
  return {
    device: request.getQuery('device') ?? '',
    origin: request.getHeader('origin'),
    host: request.getHeader('host'),
    key: request.getHeader('sec-websocket-key'),
    extensions: request.getHeader('sec-websocket-extensions'),
    protocol: protocols.includes(SUBPROTOCOL) ? SUBPROTOCOL : '',
    token:
      /^Bearer +(\S+)$/i.exec(authorization)?.[1] ??
      protocols.find((protocol) => protocol.startsWith('bearer.'))?.slice(7),
  };
}
type Request = ReturnType<typeof readRequest>;

/**
 * The upgrade of a client. Everything that can be refused is refused before it, with a status; the session is registered
 * before it too, so that a socket that is open has its place.
 */
export function onUpgrade(
  response: HttpResponse,
  request: HttpRequest,
  upgrade: us_socket_context_t,
  context: HandshakeContext,
): void {
  const read = readRequest(request);
  const address = clientAddress(response, request, context.config.TRUST_FORWARDED_FOR);
  let aborted = false;
  response.onAborted(() => {
    aborted = true;
  });
  // The connection ends with the refusal: to hold it is for those who were let in.
  const refuse = ({ status, code, detail, retryAfterSeconds, limit }: Refused) => {
    metrics.handshakes.inc({ outcome: String(status) });
    if (limit) countLimited(limit);
    if (!aborted) response.cork(() => sendProblem(response, status, code, detail, retryAfterSeconds, true));
  };
  const early = refusedAtOnce(read, address, context);
  if (early) return refuse(early);
  pending++;
  register(read, context)
    .then((result) => {
      if ('status' in result) return refuse(result);
      if (aborted) return context.abandoned(result.connection);
      // Ordered while this handshake was on its way: those who were connected have been closed by then.
      const late = refusedByOperator(result, context);
      if (late) {
        context.abandoned(result.connection);
        return refuse(late);
      }
      result.connection.address = address;
      const open = () =>
        response.upgrade({ connection: result.connection }, read.key, read.protocol, read.extensions, upgrade);
      // Not corked: after that, this uWebSockets takes a socket that was upgraded in place for an HTTP response still, reads bytes that
      // mean something else now, and closes one in some hundred (uNetworking/uWebSockets#1928, fixed by #1929). It complains on
      // stderr of an upgrade outside of cork(); within another socket's, it is content, and corks nothing of this one.
      const other = context.anySocket();
      if (other) other.cork(() => void response.cork(open));
      else open();
      metrics.handshakes.inc({ outcome: '101' });
      context.opened(result.connection, result.reply);
    })
    .catch((error: unknown) => {
      if (error instanceof AuthError) {
        context.guard.badToken(address, Date.now());
        return refuse({ status: 401, code: 'unauthorized', detail: error.message });
      }
      context.logger.warn({ err: messageOf(error) }, 'handshake failed');
      refuse({
        status: 503,
        code: 'overloaded',
        detail: 'a store is not reachable now',
        retryAfterSeconds: OVERLOAD_RETRY_SECONDS,
      });
    })
    .finally(() => {
      pending--;
    });
}

function refusedAtOnce(
  read: Request,
  address: string,
  { config, addresses, guard, slot, orders }: HandshakeContext,
): Refused | undefined {
  const nowMs = Date.now();
  const many = guard.manyBadTokens(address, nowMs);
  if (many) return tooMany('RATE_UNAUTHORIZED_PER_MINUTE', many.detail, many.waitMs);
  if (!slot.ready() || !orders.ready() || orders.draining() || pending >= MAX_PENDING) {
    return {
      status: 503,
      code: 'overloaded',
      detail: 'the gateway is not ready',
      retryAfterSeconds: OVERLOAD_RETRY_SECONDS,
      ...(pending >= MAX_PENDING ? { limit: 'PENDING_HANDSHAKES' } : {}),
    };
  }
  // Taken once the token is known to be good: bad ones must not use up what there is for others.
  const waitMs = guard.admission.wait(nowMs);
  if (waitMs > 0) return notAdmitted(waitMs);
  const most = config.CONNECTIONS_PER_ADDRESS;
  if (most > 0 && addresses.count(address) >= most)
    return tooMany('CONNECTIONS_PER_ADDRESS', `over ${most} connections of one address`, FULL_RETRY_MS);
  if (!originAllowed(read.origin, read.host, config.ALLOWED_ORIGINS, config.NODE_ENV === 'production')) {
    return { status: 403, code: 'unauthorized', detail: 'this Origin may not connect: see ALLOWED_ORIGINS' };
  }
  if (!DEVICE_PATTERN.test(read.device))
    return { status: 400, code: 'bad_field', detail: 'device: must match [A-Za-z0-9_-]{1,64}' };
  return undefined;
}

const tooMany = (limit: Limit, detail: string, waitMs: number): Refused => ({
  ...{ status: 429, code: 'rate_limited', detail, limit },
  retryAfterSeconds: Math.ceil(waitMs / 1000),
});

/** Spread out, so that those who were refused together don't come back together. */
const notAdmitted = (waitMs: number): Refused => ({
  ...{ status: 503, code: 'overloaded', detail: 'too many handshakes a second', limit: 'CONNECT_PER_SECOND' },
  retryAfterSeconds: Math.ceil(waitMs / 1000) + Math.floor(Math.random() * 3),
});

async function register(read: Request, context: HandshakeContext): Promise<Refused | Registered> {
  const { config, inbox, slot, dynamo, guard } = context;
  const identity = await context.authenticate(read.token);
  if (identity.device !== undefined && identity.device !== read.device) {
    return { status: 401, code: 'unauthorized', detail: 'the token’s dev is another device' };
  }
  const { user } = identity;
  const nowMs = Date.now();
  const thrownOutMs = guard.thrownOutWait(user, read.device, nowMs);
  if (thrownOutMs > 0) return tooMany('THROWN_OUT_SECONDS', 'closed for what this device sent', thrownOutMs);
  const attemptMs = guard.attemptWait(user, read.device, nowMs);
  if (attemptMs > 0) {
    const detail = `over ${config.RATE_CONNECT_PER_MINUTE} handshakes a minute`;
    return tooMany('RATE_CONNECT_PER_MINUTE', detail, attemptMs);
  }
  const admissionMs = guard.admission.take(nowMs);
  if (admissionMs > 0) return notAdmitted(admissionMs);
  const connection = new Connection(
    randomBytes(9).toString('base64url'),
    user,
    read.device,
    identity.expiresAtMs,
    Date.now(),
  );
  const held = slot.current();
  if (!held) throw new UnavailableError('the slot was lost');
  const connect = async (row: DeviceStart | '') => {
    const call = inbox.connectCall(
      user,
      read.device,
      connection.id,
      held.slot,
      held.lease,
      row,
      config.CONNECTIONS_PER_USER,
    );
    return parseConnect((await inbox.run([call]))[0]!);
  };
  let reply = await connect('');
  for (let turn = 0; reply.is === 'new' && turn < MAKE_TURNS; turn++) {
    reply = await connect(await makeDurable(user, read.device, reply, dynamo, context.logEnds));
    connection.seen = true;
  }
  if (reply.is === 'too-many' || reply.is === 'new') {
    return tooMany('CONNECTIONS_PER_USER', `over ${config.CONNECTIONS_PER_USER} connections`, FULL_RETRY_MS);
  }
  connection.replaced = reply.replaced;
  if (reply.poisonSeq !== undefined) connection.poison = { gen: reply.gen, seq: reply.poisonSeq };
  return { connection, reply, issuedAtMs: identity.issuedAtMs };
}

function refusedByOperator(
  { connection, issuedAtMs }: Registered,
  { orders, revocations }: HandshakeContext,
): Refused | undefined {
  if (revocations.isRevoked(connection.user, issuedAtMs))
    return { status: 401, code: 'unauthorized', detail: 'the token was revoked' };
  if (!orders.draining()) return undefined;
  const detail = 'the gateway is drained';
  return { status: 503, code: 'overloaded', detail, retryAfterSeconds: OVERLOAD_RETRY_SECONDS };
}
