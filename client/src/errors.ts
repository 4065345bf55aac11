import type { ErrorCode } from './protocol.ts';

/** Codes of the SDK's own, beside the server's. */
export type ClientErrorCode =
  | ErrorCode
  /** No gateway answered. */
  | 'network'
  /** The token provider threw, or gave nothing. */
  | 'no_token'
  /** More messages wait than `maxOutbox`. */
  | 'outbox_full'
  /** The client was stopped, or its store closed. */
  | 'closed'
  /** The token is another user's than the client was made for. */
  | 'wrong_user';

/** Every error that the SDK throws. `code` says what, `canRetry` whether the same call may succeed later. */
export class RestanteError extends Error {
  override name = 'RestanteError';
  readonly code: ClientErrorCode;
  readonly canRetry: boolean;
  /** Wait at least this long, in milliseconds, where the server said so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ClientErrorCode,
    message: string,
    options: { canRetry?: boolean; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.canRetry = options.canRetry ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}
