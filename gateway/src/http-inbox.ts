import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { entryFrame } from '@restante/shared/contract/entry';
import { type AnswerOf, MAX_SYNC_ENTRIES } from '@restante/shared/contract/http-calls';
import {
  type DeviceStart,
  type Inbox,
  type NewDevice,
  parseAck,
  parseAckIds,
  parseSync,
} from '@restante/shared/inbox/inbox-redis';
import { UnavailableError } from '@restante/shared/runtime/errors';
import { sleep } from '@restante/shared/runtime/sleep';
import { AuthError, type Identity } from './auth.ts';
import { type Call, Problem } from './http.ts';
import type { GatewayLog } from './log.ts';
import { makeDurable } from './new-device.ts';
import type { SendPath } from './send.ts';

/** How long a call waits for an inbox that is being rebuilt, before it says 503. */
const REBUILD_WAIT_MS = 10_000;
const REBUILD_POLL_MS = 50;
export const TOO_MANY_DEVICES = 'as many devices as a user may have are connected';

export type InboxApi = { inbox: Inbox; dynamo: DynamoDBClient; log: GatewayLog; sendPath: SendPath };

/** `POST /v1/messages`: accepted once the log has it. */
export async function postMessage(
  { identity, body }: Call<'postMessage'>,
  { sendPath }: InboxApi,
): Promise<AnswerOf<'postMessage'>> {
  const result = await sendPath.send({ user: identity.user }, body, Date.now());
  if ('code' in result) throw new Problem(result.code, result.message, result.retryAfterMs);
  return { id: body.id, conversation: result.conversation, status: 'accepted', at: result.at };
}

/** `GET /v1/messages/sync`: a page of the inbox for a device without a socket. Takes nothing out. */
export async function getSync({ identity, query }: Call<'getSync'>, api: InboxApi): Promise<AnswerOf<'getSync'>> {
  const { device } = query;
  requireDevice(device, identity);
  const limit = Math.min(query.limit, MAX_SYNC_ENTRIES);
  const synced = await whole(
    identity.user,
    api,
    async (row) => {
      const [reply] = await api.inbox.run([api.inbox.syncCall(identity.user, device, row, limit)]);
      return parseSync(reply!);
    },
    device,
  );
  if (synced.is === 'too-many') throw new Problem('rate_limited', TOO_MANY_DEVICES);
  const { gen, acked, tail, high, reached, page } = synced;
  const frames = page.entries.map((entry, i) => entryFrame(entry, page.firstSeq + i, gen, page.firstSeq + i <= high));
  if (page.gap) frames.unshift(entryFrame(page.gap.entry, page.gap.to, gen, false));
  const entries = frames.map((frame) => JSON.parse(frame) as AnswerOf<'getSync'>['entries'][number]);
  return { gen, acked, tail, entries, more: reached < tail };
}

/** `POST /v1/messages/ack`: by seq, cumulative, or by ids. */
export async function postAck({ identity, body: ack }: Call<'postAck'>, api: InboxApi): Promise<AnswerOf<'postAck'>> {
  const { device } = ack;
  requireDevice(device, identity);
  const { user } = identity;
  const result = await whole(user, api, () => ('ids' in ack ? ackIds(user, ack, api) : ackSeq(user, ack, api)), device);
  // Makes the cursor durable, and releases what a socket of the device waits for. Lost, it is made good by the next ack: the marks stay.
  await api.log.event({ t: 'acked_by_http', user, device });
  return { gen: result.gen, acked: result.acked };
}

type Acked = { is: 'partial' } | { is: 'ok'; gen: number; acked: number };

async function ackIds(
  user: string,
  { device, ids }: { device: string; ids: { from: string; id: string }[] },
  { inbox }: InboxApi,
): Promise<Acked> {
  const [reply] = await inbox.run([inbox.ackIdsCall(user, device, ids)]);
  const parsed = parseAckIds(reply!);
  if (parsed.is === 'no-device')
    throw new Problem('bad_field', `device: ${device} has neither connected nor synced yet`);
  return parsed;
}

async function ackSeq(
  user: string,
  ack: { device: string; gen: number; seq: number },
  { inbox }: InboxApi,
): Promise<Acked> {
  const [reply] = await inbox.run([inbox.ackCall(user, { ...ack, conn: '', position: 0 })]);
  const parsed = parseAck(reply!);
  if (parsed.is === 'reset')
    throw new Problem('bad_field', `gen: ${ack.gen} is not the inbox's, or ${ack.device} is no device: sync first`);
  if (parsed.is === 'refused') throw new Problem('bad_field', `seq: ${ack.seq} was never sent`);
  return parsed.is === 'ok' ? { is: 'ok', gen: ack.gen, acked: parsed.acked } : parsed;
}

type Unfinished = NewDevice | { is: 'partial' };

/** Repeats a call until the inbox is whole and the device made: asks notification to rebuild it where it isn't. */
async function whole<T extends Unfinished | { is: 'ok' | 'page' | 'too-many' }>(
  user: string,
  { dynamo, log }: InboxApi,
  call: (row: DeviceStart | '') => Promise<T>,
  device: string,
): Promise<Exclude<T, Unfinished>> {
  const end = Date.now() + REBUILD_WAIT_MS;
  let row: DeviceStart | '' = '';
  let asked = false;
  for (;;) {
    const reply = await call(row);
    if (Date.now() > end) throw new UnavailableError('the inbox is being rebuilt');
    if (reply.is === 'new') {
      row = await makeDurable(user, device, reply, dynamo, log.ends);
      continue;
    }
    if (reply.is !== 'partial') return reply as Exclude<T, Unfinished>;
    if (!asked) await log.event({ t: 'rebuild_requested', user });
    asked = true;
    await sleep(REBUILD_POLL_MS);
  }
}

/** @throws AuthError where the token is another device's */
export function requireDevice(device: string, identity: Identity): void {
  if (identity.device !== undefined && identity.device !== device)
    throw new AuthError('the token’s dev is another device');
}
