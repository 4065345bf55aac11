import { z } from 'zod';
import { generation, position, sendFieldsSchema, seq } from './client-frames.ts';
import type { ErrorCode } from './codes.ts';
import { conversationSchema, deviceSchema, messageIdSchema, userSchema } from './ids.ts';
import { entryFrameSchema, storedMessageSchema, timeMs, tombstoneSchema } from './server-frames.ts';

/** Bounds of the calls (PROTOCOL.md). */
export const MAX_MEMBERS = 1_000;
export const MAX_SYNC_ENTRIES = 500;
export const MAX_HISTORY_PAGE = 200;
export const MAX_CONVERSATIONS_PAGE = 100;
export const UNREAD_CAP = 99;
const MAX_ACKED_IDS = 1_000;

/** Parameters of a query are texts: what is of digits alone is a number. */
const digits = (text: unknown) => (typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : text);
const pageLimit = (fallback: number, max: number) =>
  z
    .preprocess(digits, z.int().min(1))
    .default(fallback)
    .describe(`entries of a page; more than ${max} are taken for ${max}`);
const bound = z.preprocess(digits, position).optional();

const group = z.object({
  id: conversationSchema,
  title: z.string().optional(),
  members: z.array(z.object({ user: userSchema, role: z.enum(['owner', 'member']), joinedPosition: position })),
});
const state = z.enum(['accepted', 'stored', 'pending', 'notified', 'delivering', 'delivered', 'read', 'failed']);
const accepted = z.literal('accepted');

/** One call of the HTTP API: what it takes, what it answers, and which of the error codes it may answer beside those of every call. */
export type CallSpec = {
  method: 'get' | 'post' | 'put' | 'delete';
  /** As in OpenAPI: {name} is a parameter. */
  path: string;
  summary: string;
  params?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  status: number;
  /** None where the answer has no body. */
  answer?: z.ZodType;
  codes: readonly ErrorCode[];
};

/** The HTTP API of PROTOCOL.md: the gateway reads requests by these, and /openapi.json is made of them. Fixed paths come before those with a parameter. */
export const CALLS = {
  postMessage: {
    method: 'post',
    path: '/v1/messages',
    summary: 'Send a message; answered once it is durable',
    body: sendFieldsSchema,
    status: 202,
    answer: z.object({ id: messageIdSchema, conversation: conversationSchema, status: accepted, at: timeMs }),
    codes: ['not_a_member', 'rate_limited'],
  },
  getSync: {
    method: 'get',
    path: '/v1/messages/sync',
    summary: 'The inbox, for a client with no socket; takes nothing out',
    query: z.object({ device: deviceSchema, limit: pageLimit(100, MAX_SYNC_ENTRIES) }),
    status: 200,
    answer: z.object({
      gen: generation,
      acked: seq,
      tail: seq,
      entries: z.array(entryFrameSchema),
      more: z.boolean(),
    }),
    codes: ['rate_limited'],
  },
  postAck: {
    method: 'post',
    path: '/v1/messages/ack',
    summary: 'Acknowledge entries: all up to a seq, or single ones by their ids',
    body: z.union(
      [
        z.object({ device: deviceSchema, gen: generation, seq }),
        z.object({
          device: deviceSchema,
          ids: z.array(z.object({ from: userSchema, id: messageIdSchema })).max(MAX_ACKED_IDS),
        }),
      ],
      { error: `give device, and gen with seq, or ids (at most ${MAX_ACKED_IDS} of {from, id})` },
    ),
    status: 200,
    answer: z.object({ gen: generation, acked: seq }),
    codes: [],
  },
  getMessageState: {
    method: 'get',
    path: '/v1/messages/{id}',
    summary: 'Where a message is, for each of its recipients',
    params: z.object({ id: messageIdSchema }),
    query: z.object({ from: userSchema.optional().describe('the sender; the caller, where it is not given') }),
    status: 200,
    answer: z.object({
      id: messageIdSchema,
      conversation: conversationSchema,
      position: position.optional(),
      state,
      recipients: z.array(
        z.object({
          user: userSchema,
          state,
          reason: z.enum(['expired', 'dead-lettered', 'rejected']).optional(),
          at: timeMs.optional(),
        }),
      ),
    }),
    codes: ['no_such_message'],
  },
  getConversations: {
    method: 'get',
    path: '/v1/conversations',
    summary: 'The conversations of the caller, by id',
    query: z.object({
      limit: pageLimit(20, MAX_CONVERSATIONS_PAGE),
      after: conversationSchema.optional().describe('`next` of the page before'),
    }),
    status: 200,
    answer: z.object({
      conversations: z.array(
        z.object({
          id: conversationSchema,
          title: z.string().optional(),
          lastPosition: position,
          read: position,
          unread: z.int().min(0).max(UNREAD_CAP),
          updatedAt: timeMs,
        }),
      ),
      next: conversationSchema.optional(),
    }),
    codes: [],
  },
  postConversation: {
    method: 'post',
    path: '/v1/conversations',
    summary: 'Make a group',
    body: z.object({
      id: z
        .string()
        .regex(/^(grp:)?[A-Za-z0-9_-]{1,64}$/, 'must match grp:<id>, or <id>, of [A-Za-z0-9_-]{1,64}')
        .optional(),
      members: z.array(userSchema).max(MAX_MEMBERS),
      title: z.string().max(200).optional(),
    }),
    status: 201,
    answer: group,
    codes: ['duplicate_conflict', 'rate_limited'],
  },
  getConversation: {
    method: 'get',
    path: '/v1/conversations/{conversation}',
    summary: 'A conversation and its members',
    params: z.object({ conversation: conversationSchema }),
    status: 200,
    answer: group,
    codes: ['no_such_conversation', 'not_a_member'],
  },
  postMembers: {
    method: 'post',
    path: '/v1/conversations/{conversation}/members',
    summary: 'Add and remove members: owners others, anyone themselves',
    params: z.object({ conversation: conversationSchema }),
    body: z
      .object({
        add: z.array(userSchema).max(MAX_MEMBERS).optional(),
        remove: z.array(userSchema).max(MAX_MEMBERS).optional(),
      })
      .refine(({ add, remove }) => (add?.length ?? 0) + (remove?.length ?? 0) > 0, {
        message: 'give add or remove',
        path: ['add'],
      })
      .meta({ anyOf: [{ required: ['add'] }, { required: ['remove'] }] }),
    status: 202,
    answer: z.object({ conversation: conversationSchema, status: accepted }),
    codes: ['no_such_conversation', 'not_a_member', 'not_yours', 'rate_limited'],
  },
  getMessages: {
    method: 'get',
    path: '/v1/conversations/{conversation}/messages',
    summary: 'The history, as far as the caller was a member; deleted messages are shown as tombstones',
    params: z.object({ conversation: conversationSchema }),
    query: z.object({ before: bound, after: bound, limit: pageLimit(50, MAX_HISTORY_PAGE) }),
    status: 200,
    answer: z.object({
      messages: z.array(z.discriminatedUnion('t', [storedMessageSchema, tombstoneSchema])),
      more: z.boolean(),
    }),
    codes: ['no_such_conversation', 'not_a_member'],
  },
  getReceipts: {
    method: 'get',
    path: '/v1/conversations/{conversation}/receipts',
    summary: 'How far each member has got, and has read',
    params: z.object({ conversation: conversationSchema }),
    status: 200,
    answer: z.object({
      receipts: z.array(z.object({ user: userSchema, delivered: position, read: position })),
    }),
    codes: ['no_such_conversation', 'not_a_member'],
  },
  postAttachment: {
    method: 'post',
    path: '/v1/attachments',
    summary: 'Where to put a file that messages are to name, where this server takes any',
    body: z.object({
      contentType: z
        .string()
        .max(255)
        .regex(/^[\w.+-]+\/[\w.+-]+$/, 'must be a media type without parameters'),
      bytes: z.int().min(1),
    }),
    status: 201,
    answer: z.object({
      url: z.url().describe('what goes into the attachments of a message'),
      upload: z.object({
        method: z.literal('PUT'),
        url: z.url().describe('signed: for this type and this many bytes'),
        headers: z.record(z.string(), z.string()).describe('to be sent as they are'),
      }),
      expiresAt: timeMs,
    }),
    codes: ['too_large', 'rate_limited'],
  },
  putDevice: {
    method: 'put',
    path: '/v1/devices/{device}',
    summary: 'Register where the pushes of a device go',
    params: z.object({ device: deviceSchema }),
    body: z.object({
      push: z.object({ platform: z.enum(['apns', 'fcm']), token: z.string().min(1).max(4096) }),
    }),
    status: 204,
    codes: [],
  },
  removeDevice: {
    method: 'delete',
    path: '/v1/devices/{device}',
    summary: 'Forget a device: its cursor, its push endpoint; its socket closes',
    params: z.object({ device: deviceSchema }),
    status: 204,
    codes: [],
  },
} as const satisfies Record<string, CallSpec>;

export type CallName = keyof typeof CALLS;
type Out<S> = S extends z.ZodType ? z.output<S> : undefined;
type Part<N extends CallName, P extends keyof CallSpec> =
  (typeof CALLS)[N] extends Record<P, infer S> ? Out<S> : undefined;
/** What a handler gets of a request, checked. */
export type RequestOf<N extends CallName> = {
  params: Part<N, 'params'>;
  query: Part<N, 'query'>;
  body: Part<N, 'body'>;
};
export type AnswerOf<N extends CallName> = Part<N, 'answer'>;
