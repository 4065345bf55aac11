import { z } from 'zod';
import { conversationSchema, messageIdSchema, userSchema } from './ids.ts';

/** Bounds of a frame (PROTOCOL.md). Bytes are of UTF-8. */
export const MAX_FRAME_BYTES = 64 * 1024;
export const MAX_BODY_BYTES = 32 * 1024;
export const MAX_ATTACHMENTS = 10;
export const MAX_WATCHED_USERS = 200;
export const MAX_TTL_SECONDS = 365 * 24 * 3600;

export const seq = z.int().min(0).describe('a place in the inbox of a user, within one generation');
export const generation = z.int().min(0).describe('a generation of an inbox');
export const position = z.int().min(0).describe('a place in a conversation: grows, with gaps');
export const ttlSeconds = z.int().min(1).max(MAX_TTL_SECONDS);

/** Bytes of a string in UTF-8, without allocating it; a lone surrogate counts as the three bytes of U+FFFD. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

/** Whether a body is over its bound. Only one that could be is counted: no unit of UTF-16 takes more than three bytes. */
const isBodyTooLarge = (body: string): boolean => body.length * 3 > MAX_BODY_BYTES && utf8Bytes(body) > MAX_BODY_BYTES;

export const attachmentSchema = z.object({
  url: z.url().max(2048),
  contentType: z.string().min(1).max(255),
  bytes: z.int().min(0),
  name: z.string().max(255).optional(),
});

/** What the sender says of a message; `send` and `POST /v1/messages` add exactly one of `to` and `conversation`. */
export const messageFields = {
  id: messageIdSchema,
  body: z
    .string()
    .refine((text) => !isBodyTooLarge(text), `over ${MAX_BODY_BYTES} bytes`)
    .meta({ maxLength: MAX_BODY_BYTES, description: `opaque, at most ${MAX_BODY_BYTES} bytes of UTF-8` }),
  kind: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,32}$/, 'must match [A-Za-z0-9_.-]{1,32}')
    .optional(),
  replyTo: messageIdSchema.optional(),
  attachments: z.array(attachmentSchema).max(MAX_ATTACHMENTS).optional(),
  ttlSeconds: ttlSeconds.optional(),
  urgent: z.boolean().optional(),
};
export const sendFieldsSchema = z
  .object({ ...messageFields, to: userSchema.optional(), conversation: conversationSchema.optional() })
  .refine((send) => (send.to === undefined) !== (send.conversation === undefined), {
    message: 'give exactly one of to and conversation',
    path: ['to'],
  })
  .meta({ oneOf: [{ required: ['to'] }, { required: ['conversation'] }] });
export type SendFields = z.infer<typeof sendFieldsSchema>;

export const clientFrameSchemas = {
  send: sendFieldsSchema,
  ack: z.object({ seq, gen: generation }),
  nack: z.object({ seq, gen: generation, reason: z.string().max(500) }),
  read: z.object({ conversation: conversationSchema, position }),
  typing: z.object({ conversation: conversationSchema, on: z.boolean() }),
  delete: z.object({ id: messageIdSchema, conversation: conversationSchema, position }),
  watch: z.object({ users: z.array(userSchema).max(MAX_WATCHED_USERS) }),
  ping: z.object({ n: z.number().optional() }),
} as const;
export type ClientFrameType = keyof typeof clientFrameSchemas;
export type ClientFrame = {
  [T in ClientFrameType]: { t: T } & z.infer<(typeof clientFrameSchemas)[T]>;
}[ClientFrameType];

export type ParsedFrame =
  | { ok: true; frame: ClientFrame }
  | { ok: false; code: 'bad_frame' | 'bad_field' | 'too_large'; message: string; id?: string };

/**
 * One text message of a client as a frame. Never throws: what is wrong is named in `message`, and the message id is
 * given where it could be read, so that a bad `send` is answered as `rejected`.
 */
export function parseClientFrame(text: string): ParsedFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, code: 'bad_frame', message: 'the frame is not JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { ok: false, code: 'bad_frame', message: 'the frame is not a JSON object' };
  }
  const type = (value as { t?: unknown }).t;
  if (typeof type !== 'string' || !Object.hasOwn(clientFrameSchemas, type)) {
    return {
      ok: false,
      code: 'bad_frame',
      // Only a string is shown: to write a value that is nested thousands deep, as JSON takes it, would throw.
      message: `unknown frame type ${typeof type === 'string' ? JSON.stringify(type.slice(0, 60)) : typeof type}`,
    };
  }
  const parsed = clientFrameSchemas[type as ClientFrameType].safeParse(value);
  if (parsed.success) return { ok: true, frame: { t: type, ...parsed.data } as ClientFrame };
  const id = (value as { id?: unknown }).id;
  const tooLarge = bodyTooLarge(value);
  return {
    ok: false,
    code: tooLarge ? 'too_large' : 'bad_field',
    message: describeIssues(parsed.error),
    ...((type === 'send' || type === 'delete') && typeof id === 'string' && messageIdSchema.safeParse(id).success
      ? { id }
      : {}),
  };
}

/** True where the one thing to say is that `body` is over its bound: `too_large`, not `bad_field`. */
export function bodyTooLarge(value: unknown): boolean {
  const body = (value as { body?: unknown } | null)?.body;
  return typeof body === 'string' && isBodyTooLarge(body);
}

/** The first problems of a failed parse, each with the path of its field; `whole` is what the value is called as a whole. */
export function describeIssues(error: z.ZodError, whole = 'frame'): string {
  return error.issues
    .slice(0, 3)
    .map((issue) => `${issue.path.join('.') || whole}: ${issue.message}`)
    .join('; ');
}
