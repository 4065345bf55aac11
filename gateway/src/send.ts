import type { SendFields } from '@restante/shared/contract/client-frames';
import type { ErrorCode } from '@restante/shared/contract/codes';
import type { IncomingCommand, SendCommand } from '@restante/shared/contract/events';
import { directConversation, parseConversation } from '@restante/shared/contract/ids';
import { messageOf } from '@restante/shared/runtime/errors';
import { metrics } from './events.ts';
import { countLimited, type Limit } from './guard.ts';
import type { GatewayLog } from './log.ts';
import { RateLimits, TokenBucket } from './rate-limit.ts';

export type Refusal = { code: ErrorCode; message: string; retryAfterMs?: number };
export type SendResult = { ok: true; at: number; conversation: string } | ({ ok: false } & Refusal);

/** Who sends, and where the answers that come later go. */
export type Sender = { user: string; ret?: { conn: string; slot: number } };

/** Where all send more together than the gateway takes, each user has this part of their rate: the many who send little lose nothing. */
const FAIR_PART = 25;

export type SendRates = { perSecond: number; burst: number; ofAllPerSecond: number };

/**
 * The way into the log, shared by the socket and HTTP: what only the sender's own gateway can refuse is refused here, and the
 * promise resolves with `ok` once the message can't be lost any more.
 */
export class SendPath {
  readonly #log: GatewayLog;
  readonly #rate: RateLimits;
  readonly #fair: RateLimits;
  readonly #ofAll: TokenBucket;

  constructor(log: GatewayLog, { perSecond, burst, ofAllPerSecond }: SendRates) {
    this.#log = log;
    this.#rate = new RateLimits(perSecond, burst);
    this.#fair = new RateLimits(perSecond / FAIR_PART, Math.max(1, burst / FAIR_PART));
    this.#ofAll = new TokenBucket(ofAllPerSecond, ofAllPerSecond, Date.now());
  }

  /** A checked `send`. @returns the refusal at once where there is one: nothing was written then. */
  send(sender: Sender, fields: SendFields, nowMs: number): Promise<SendResult> | Refusal {
    const { to, conversation: given, ...message } = fields;
    const conversation = given ?? directConversation(sender.user, to!);
    const parts = parseConversation(conversation);
    if (parts?.kind === 'dm' && !parts.members.includes(sender.user)) {
      return { code: 'not_a_member', message: `${sender.user} is not in ${conversation}` };
    }
    const command: SendCommand = {
      t: 'send',
      from: sender.user,
      conversation,
      ...message,
      at: nowMs,
      ...(sender.ret ? { ret: sender.ret } : {}),
    };
    return this.command(sender.user, command, nowMs);
  }

  command(user: string, command: IncomingCommand, nowMs: number): Promise<SendResult> | Refusal {
    const retryAfterMs = this.#rate.take(user, nowMs);
    if (retryAfterMs > 0) return tooMany('RATE_SEND_PER_SECOND', 'too many messages', retryAfterMs);
    const fairMs = this.#fair.take(user, nowMs);
    // Of those who have had their part, only; what is within it passes, and is counted.
    if (this.#ofAll.take(nowMs) > 0 && fairMs > 0)
      return tooMany('SEND_PER_SECOND', 'too many messages, while others send many', fairMs);
    const accepting = this.#log.accepting(command.conversation);
    if (!accepting.ok) return { code: 'overloaded', message: accepting.why, retryAfterMs: accepting.retryAfterMs };
    return this.#write(command, nowMs);
  }

  async #write(command: IncomingCommand, startedMs: number): Promise<SendResult> {
    try {
      await this.#log.command(command);
    } catch (error) {
      const retryAfterMs = (error as { retryAfterMs?: number }).retryAfterMs;
      if (retryAfterMs === undefined) return { ok: false, code: 'too_large', message: messageOf(error) };
      return { ok: false, code: 'overloaded', message: 'the log is not reachable now', retryAfterMs };
    }
    const at = Date.now();
    metrics.accepted.inc();
    metrics.acceptSeconds.observe(Math.max(0, at - startedMs) / 1000);
    // The log has it; only who sends on when told so is slowed down.
    const held = this.#log.paced(command.conversation);
    if (held) await held;
    return { ok: true, at, conversation: command.conversation };
  }
}

function tooMany(limit: Limit, message: string, retryAfterMs: number): Refusal {
  countLimited(limit);
  return { code: 'rate_limited', message, retryAfterMs };
}
