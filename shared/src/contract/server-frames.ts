import { z } from 'zod';
import { attachmentSchema, generation, position, seq, ttlSeconds } from './client-frames.ts';
import { ERROR_CODES, type ErrorCode } from './codes.ts';
import { conversationSchema, deviceSchema, messageIdSchema, userSchema } from './ids.ts';

/** Frames from server to client (PROTOCOL.md). Nothing parses them here: their types, and what the descriptions say, come from them. */
export const timeMs = z.int().describe('milliseconds since the epoch');
export const errorCodeSchema = z.enum(Object.keys(ERROR_CODES) as ErrorCode[]);
const replayed = z.boolean().describe('it may have been sent to this device before');

export const GAP_REASONS = ['expired', 'overflow', 'dead-lettered', 'device-expired'] as const;
export type GapReason = (typeof GAP_REASONS)[number];

/** A message as the history has it: the frame without its place in an inbox. */
export const storedMessageSchema = z.object({
  t: z.literal('message'),
  position,
  conversation: conversationSchema,
  id: messageIdSchema,
  from: userSchema,
  kind: z.string(),
  sentAt: timeMs,
  storedAt: timeMs,
  replyTo: messageIdSchema.optional(),
  ttlSeconds: ttlSeconds.optional(),
  urgent: z.boolean().optional(),
  attachments: z.array(attachmentSchema).optional(),
  body: z.string(),
  self: z.literal(true).optional().describe('the user’s own, sent by another device'),
});
export const tombstoneSchema = z.object({
  t: z.literal('deleted'),
  conversation: conversationSchema,
  position: position.describe('of the message that was deleted'),
  by: userSchema,
  at: timeMs,
});

/** Inbox entries: passed through as text, see entry.ts. */
const place = { seq, gen: generation };
export const entryFrameSchemas = {
  message: storedMessageSchema.extend({ ...place, replayed }),
  deleted: tombstoneSchema.extend(place),
  members: z.object({
    t: z.literal('members'),
    ...place,
    conversation: conversationSchema,
    position: position.optional(),
    added: z.array(userSchema).optional(),
    removed: z.array(userSchema).optional(),
    by: userSchema,
    at: timeMs,
  }),
  gap: z.object({
    t: z.literal('gap'),
    ...place,
    from: seq,
    to: seq,
    count: z.int(),
    reason: z.enum(GAP_REASONS),
    conversations: z.array(conversationSchema),
  }),
} as const;
export const entryFrameSchema = z.discriminatedUnion('t', [
  entryFrameSchemas.message,
  entryFrameSchemas.deleted,
  entryFrameSchemas.members,
  entryFrameSchemas.gap,
]);

export const serverFrameSchemas = {
  welcome: z.object({
    t: z.literal('welcome'),
    connection: z.string(),
    user: userSchema,
    device: deviceSchema,
    gen: generation,
    acked: seq,
    tail: seq,
    window: z.int(),
    heartbeatSeconds: z.number(),
    now: timeMs,
  }),
  accepted: z.object({ t: z.literal('accepted'), id: messageIdSchema, at: timeMs }),
  stored: z.object({
    t: z.literal('stored'),
    id: messageIdSchema,
    conversation: conversationSchema,
    position,
    at: timeMs,
  }),
  rejected: z.object({
    t: z.literal('rejected'),
    id: messageIdSchema,
    code: errorCodeSchema,
    message: z.string(),
    retryable: z.boolean(),
    retryAfterMs: z.number().optional(),
  }),
  drained: z.object({ t: z.literal('drained'), seq, gen: generation }),
  reset: z.object({ t: z.literal('reset'), gen: generation, acked: seq, tail: seq }),
  receipt: z.object({
    t: z.literal('receipt'),
    conversation: conversationSchema,
    user: userSchema,
    delivered: position.optional(),
    read: position.optional(),
  }),
  typing: z.object({ t: z.literal('typing'), conversation: conversationSchema, user: userSchema, on: z.boolean() }),
  presence: z.object({
    t: z.literal('presence'),
    user: userSchema,
    online: z.boolean(),
    lastSeen: timeMs.optional(),
  }),
  error: z.object({ t: z.literal('error'), code: errorCodeSchema, message: z.string() }),
  bye: z.object({ t: z.literal('bye'), code: z.int(), reason: z.string(), reconnectAfterMs: z.number() }),
  pong: z.object({ t: z.literal('pong'), n: z.number().optional(), now: timeMs }),
} as const;

export const serverFrameSchema = z.union(Object.values(serverFrameSchemas));
export type WelcomeFrame = z.infer<typeof serverFrameSchemas.welcome>;
export type ServerFrame = z.infer<typeof serverFrameSchema>;
