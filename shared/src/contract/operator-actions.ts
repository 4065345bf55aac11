import { z } from 'zod';
import { userSchema } from './ids.ts';

/**
 * What operators did: one partition, never trimmed, in the order in which it was decided. It is the audit log and the way to the gateways at
 * once, so nothing can be done that is not on record.
 */
export const OPERATOR_TOPIC = 'operator_actions';
export const OPERATOR_PARTITION = 0;

const MAX_NOTICE_LENGTH = 4_000;
const by = { by: z.string().max(128), at: z.int() };
const slot = { slot: z.int().min(0), lease: z.string() };

const operatorAction = z.discriminatedUnion('t', [
  /** Closes the user's sockets; they may come back. */
  z.object({ t: z.literal('disconnect'), ...by, user: userSchema }),
  /** And refuses every token that was issued until now. */
  z.object({ t: z.literal('revoke'), ...by, user: userSchema }),
  z.object({ t: z.literal('restore'), ...by, user: userSchema }),
  /** The gateway that holds this lease sends its clients elsewhere and takes no more. */
  z.object({ t: z.literal('drain'), ...by, ...slot }),
  z.object({ t: z.literal('resume'), ...by, ...slot }),
  /** A message from the operator to one user, or to everybody who is connected. */
  z.object({
    t: z.literal('notice'),
    ...by,
    id: z.string(),
    text: z.string().min(1).max(MAX_NOTICE_LENGTH),
    user: userSchema.optional(),
  }),
  z.object({ t: z.literal('redrive'), ...by, letter: z.int(), source: z.string() }),
  z.object({ t: z.literal('discard'), ...by, letter: z.int(), source: z.string() }),
  /** Somebody has read what users wrote. */
  z.object({ t: z.literal('read_bodies'), ...by, user: userSchema }),
  /** Or what is in a dead letter. */
  z.object({ t: z.literal('read_letter'), ...by, letter: z.int(), source: z.string() }),
]);
export type OperatorAction = z.infer<typeof operatorAction>;

/** @returns undefined where the bytes are no action: of a newer version, or not ours */
export function decodeOperatorAction(bytes: Buffer | null): OperatorAction | undefined {
  try {
    const parsed = operatorAction.safeParse(JSON.parse(bytes?.toString('utf8') ?? ''));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
