import { randomBytes } from 'node:crypto';
import type { ErrorCode } from '@restante/shared/contract/codes';
import type { CreateCommand, OutgoingOp } from '@restante/shared/contract/events';
import { Problem } from './http.ts';

/** How long an HTTP call waits for messaging's answer. The command is in the log by then, and takes effect also where the answer is late. */
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_PENDING_CALLS = 10_000;

type Answered = Extract<OutgoingOp, { t: 'stored' | 'rejected' }>;

/** HTTP calls that wait for what messaging makes of their command. They are addressed as a connection is: by an id and the slot. */
export class PendingCalls {
  readonly #slot: () => number;
  readonly #waiting = new Map<string, (answer: Answered) => void>();

  constructor(slot: () => number) {
    this.#slot = slot;
  }

  /**
   * Sends a command with an address for its answer. @throws Problem with messaging's refusal, or 503 where no answer comes in time
   */
  async answered(
    command: CreateCommand,
    send: (addressed: CreateCommand) => Promise<void>,
  ): Promise<{ position: number }> {
    if (this.#waiting.size >= MAX_PENDING_CALLS)
      throw new Problem('overloaded', 'too many calls wait for an answer', 1000);
    const id = `http-${randomBytes(9).toString('base64url')}`;
    const answer = new Promise<Answered | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), ANSWER_TIMEOUT_MS);
      this.#waiting.set(id, (op) => {
        clearTimeout(timer);
        resolve(op);
      });
    });
    try {
      await send({ ...command, ret: { conn: id, slot: this.#slot() } });
      const op = await answer;
      if (!op) throw new Problem('overloaded', 'accepted, but not stored yet: look at it later', 1000);
      if (op.t === 'rejected') throw new Problem(op.code as ErrorCode, op.message);
      return { position: op.position };
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** @returns whether the op was for a call */
  answer(op: OutgoingOp): boolean {
    if (op.t !== 'stored' && op.t !== 'rejected') return false;
    const resolve = this.#waiting.get(op.conn);
    resolve?.(op);
    return resolve !== undefined;
  }
}
