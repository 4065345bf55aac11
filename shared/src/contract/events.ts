import { z } from 'zod';
import { messageFields } from './client-frames.ts';
import { conversationSchema, deviceSchema, messageIdSchema, userSchema } from './ids.ts';
import { serverFrameSchema } from './server-frames.ts';

/** Kafka's topics. What each carries, its key and its codec are below: one schema an event. */
export const TOPICS = {
  incoming: 'incoming_messages',
  userEvents: 'user_events',
  outgoing: 'outgoing_messages',
  deadLetters: 'dead_letters',
  receipts: 'receipts',
} as const;
/** The topic that each service reads, by its consumers' group. */
export const CONSUMER_GROUPS = { messaging: TOPICS.incoming, notification: TOPICS.userEvents } as const;
export const MAX_RECORD_BYTES = 512 * 1024;

/** Where the answer to a command goes: a connection and the slot of the gateway that owns it. HTTP has none. */
const returnAddress = z.object({ conn: z.string(), slot: z.int().min(0) });

// ---- incoming_messages: key = conversation

const sendCommand = z.object({
  t: z.literal('send'),
  from: userSchema,
  conversation: conversationSchema,
  ...messageFields,
  at: z.int(),
  ret: returnAddress.optional(),
});
export type SendCommand = z.infer<typeof sendCommand>;

const deleteCommand = z.object({
  t: z.literal('delete'),
  from: userSchema,
  id: messageIdSchema,
  conversation: conversationSchema,
  position: z.int().min(0),
  at: z.int(),
  ret: returnAddress.optional(),
});
export type DeleteCommand = z.infer<typeof deleteCommand>;

const createCommand = z.object({
  t: z.literal('create'),
  from: userSchema,
  id: messageIdSchema,
  conversation: conversationSchema,
  title: z.string().optional(),
  members: z.array(userSchema),
  at: z.int(),
  ret: returnAddress.optional(),
});
export type CreateCommand = z.infer<typeof createCommand>;

const membersCommand = z.object({
  t: z.literal('members'),
  from: userSchema,
  id: messageIdSchema,
  conversation: conversationSchema,
  add: z.array(userSchema),
  remove: z.array(userSchema),
  at: z.int(),
  ret: returnAddress.optional(),
});
export type MembersCommand = z.infer<typeof membersCommand>;

export const incomingCommand = z.discriminatedUnion('t', [sendCommand, deleteCommand, createCommand, membersCommand]);
export type IncomingCommand = z.infer<typeof incomingCommand>;
export const incomingKey = (command: IncomingCommand): string => command.conversation;

// ---- user_events: key = user

/** What the scripts read at the head of an entry, in text that is JSON: they would stop on anything else. */
function isEntryText(text: string): boolean {
  if (!/^\{"t":"(message|deleted|members)","position":\d{1,16},"conversation":"[^"\\]+"/.test(text)) return false;
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}

const session = { user: userSchema, device: deviceSchema, conn: z.string(), slot: z.int().min(0) };
export const userEvent = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('user_connected'),
    ...session,
    lease: z.string(),
    at: z.int(),
    /** That the device was seen is in its durable row, which the gateway has just made. */
    seen: z.literal(true).optional(),
    /** The device's older connection, which this one took the place of. */
    replaced: returnAddress.optional(),
    /** An entry that the device's last connections all left alone unacked: it goes to the dead letters (decision 16). */
    poison: z.object({ gen: z.int(), seq: z.int() }).optional(),
  }),
  z.object({
    t: z.literal('user_disconnected'),
    ...session,
    at: z.int(),
    /** Up to where the socket was written to: what was released beyond it was not sent. */
    sent: z.object({ gen: z.int(), seq: z.int() }).optional(),
  }),
  z.object({ t: z.literal('acked'), ...session, gen: z.int(), seq: z.int(), position: z.int() }),
  z.object({ t: z.literal('nacked'), ...session, gen: z.int(), seq: z.int(), position: z.int(), reason: z.string() }),
  /** Replay again from `from` on, the first seq that the gateway has not written to this connection. */
  z.object({ t: z.literal('refill'), ...session, gen: z.int(), from: z.int() }),
  /** Acked by HTTP, where the gateway moved the cursor itself: makes it durable and releases the next page. */
  z.object({ t: z.literal('acked_by_http'), user: userSchema, device: deviceSchema }),
  z.object({ t: z.literal('read'), ...session, conversation: conversationSchema, position: z.int(), at: z.int() }),
  z.object({ t: z.literal('typing'), ...session, conversation: conversationSchema, on: z.boolean() }),
  z.object({ t: z.literal('watch'), ...session, lease: z.string(), users: z.array(userSchema) }),
  z.object({
    t: z.literal('device_forgotten'),
    user: userSchema,
    device: deviceSchema,
    sessions: z.array(returnAddress),
  }),
  /** An operator has a dead letter delivered after all: `entry` goes to the end of the user's inbox, once for each `letter` (its source). */
  z.object({
    t: z.literal('redriven'),
    user: userSchema,
    letter: z.string(),
    entry: z.string().refine(isEntryText, 'must be an inbox entry'),
  }),
  /** Somebody waits for this user's inbox to be whole. */
  z.object({ t: z.literal('rebuild_requested'), user: userSchema }),
]);
export type UserEvent = z.infer<typeof userEvent>;
export type UserEventOf<T extends UserEvent['t']> = Extract<UserEvent, { t: T }>;
export const userEventKey = (event: UserEvent): string => event.user;

// ---- outgoing_messages: partition = slot of the gateway

const conn = z.string();
const gen = z.int();
const seq = z.int();

/**
 * What a gateway is told to do with one of its connections. `conn` unknown: dropped, the inbox has it (decision 12). Never parsed by this: it
 * is ours, and costs nothing so; its type and its description come from it.
 */
export const outgoingOp = z.discriminatedUnion('t', [
  /** Entries `entries[e[0]]`, `entries[e[1]]` … of the record, as seq `q`, `q + 1` …; those up to seq `r` may have been sent before. */
  z.object({ t: z.literal('deliver'), conn, gen, q: seq, e: z.array(z.int()), r: seq }),
  /** A gap as an entry of its own, `entries[e]`, seq `q`: stands for several seqs, so nothing in `deliver` could. */
  z.object({ t: z.literal('gap'), conn, gen, from: seq, q: seq, e: z.int() }),
  /** The backlog ends at `seq`. */
  z.object({ t: z.literal('drained'), conn, gen, seq }),
  /** The inbox was rebuilt. Where the connection has had no welcome yet (it waited for the rebuild), this is its welcome. */
  z.object({ t: z.literal('reset'), conn, gen, acked: seq, tail: seq }),
  /** This is how far the inbox goes: whoever has written less asks for a refill. */
  z.object({ t: z.literal('probe'), conn, gen, tail: seq }),
  z.object({ t: z.literal('stored'), conn, id: z.string(), conversation: z.string(), position: z.int(), at: z.int() }),
  z.object({ t: z.literal('rejected'), conn, id: z.string(), code: z.string(), message: z.string() }),
  /** A frame as it is: receipts, typing, presence. */
  z.object({ t: z.literal('frame'), conn, frame: serverFrameSchema }),
  z.object({ t: z.literal('close'), conn, code: z.int(), reason: z.string() }),
]);
export type OutgoingOp = z.infer<typeof outgoingOp>;
export type OutgoingRecord = { ops: OutgoingOp[]; entries: string[] };

/** First line the ops, then an entry a line: JSON text has no raw newline, so entries need no second encoding. */
export function encodeOutgoing(record: OutgoingRecord): string {
  const head = JSON.stringify(record.ops);
  return record.entries.length === 0 ? head : `${head}\n${record.entries.join('\n')}`;
}

/** @throws SyntaxError, TypeError where the record is not one of ours: the reader counts and drops it, a hint is no truth. */
export function decodeOutgoing(text: string): OutgoingRecord {
  const [head = '', ...entries] = text.split('\n');
  const ops = JSON.parse(head) as OutgoingOp[];
  if (!Array.isArray(ops)) throw new TypeError('outgoing record: its first line is not an array');
  return { ops, entries };
}

// ---- dead_letters: key = source

export const deadLetter = z.object({
  source: z.string(),
  reason: z.string(),
  at: z.int(),
  /** Where it was: a record of a topic, or an entry of a user's inbox that a device refused. */
  topic: z.string().optional(),
  partition: z.int().optional(),
  offset: z.string().optional(),
  user: z.string().optional(),
  device: z.string().optional(),
  seq: z.int().optional(),
  key: z.string().nullable(),
  /** The record's bytes as base64: what could not be decoded has no better form. */
  valueBase64: z.string().nullable(),
});
export type DeadLetter = z.infer<typeof deadLetter>;

/**
 * Says in the same topic that a letter was sent on its way again, so that it is open no more. Written after the record itself: a crash
 * between the two leaves the letter open, and who redrives it again sends what is recognised by its id.
 */
const redriveMark = z.object({ source: z.string(), redrivenAt: z.int(), discarded: z.literal(true).optional() });
export type RedriveMark = z.infer<typeof redriveMark>;

// ---- receipts: key = conversation. Written only where webhooks are on, and read by them alone

export const receiptEvent = z.object({
  kind: z.enum(['delivered', 'read']),
  conversation: conversationSchema,
  user: userSchema,
  position: z.int().min(0),
  at: z.int(),
});
export type ReceiptEvent = z.infer<typeof receiptEvent>;

export type Decoded<T> = { ok: true; value: T } | { ok: false; reason: string };

/** @returns the event, or why the bytes are none. Never throws: what is undecodable goes to the dead letters. */
function decode<T>(schema: z.ZodType<T>, bytes: Buffer | null): Decoded<T> {
  if (bytes === null) return { ok: false, reason: 'the record has no value' };
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    // Not what V8 says: it quotes the text, and the reason is logged and shown.
    return { ok: false, reason: `not JSON (${bytes.length} bytes)` };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { ok: true, value: parsed.data };
  const issue = parsed.error.issues[0];
  return { ok: false, reason: `${issue?.path.join('.') || 'record'}: ${issue?.message ?? 'invalid'}` };
}

export const decodeIncoming = (bytes: Buffer | null): Decoded<IncomingCommand> => decode(incomingCommand, bytes);
export const decodeUserEvent = (bytes: Buffer | null): Decoded<UserEvent> => decode(userEvent, bytes);
export const decodeDeadLetter = (bytes: Buffer | null): Decoded<DeadLetter> => decode(deadLetter, bytes);
export const decodeRedriveMark = (bytes: Buffer | null): Decoded<RedriveMark> => decode(redriveMark, bytes);
export const decodeReceiptEvent = (bytes: Buffer | null): Decoded<ReceiptEvent> => decode(receiptEvent, bytes);
