/** Close codes of the WebSocket. Whether to come back is the client's first question, so it is part of the table. */
export const CLOSE = {
  goingAway: { code: 1001, reconnect: 'backoff' },
  tooBig: { code: 1009, reconnect: 'never' },
  internal: { code: 1011, reconnect: 'backoff' },
  tryLater: { code: 1013, reconnect: 'backoff' },
  draining: { code: 4000, reconnect: 'backoff' },
  badToken: { code: 4001, reconnect: 'new-token' },
  tokenExpired: { code: 4002, reconnect: 'new-token' },
  replaced: { code: 4003, reconnect: 'never' },
  tooSlow: { code: 4008, reconnect: 'backoff' },
  protocol: { code: 4009, reconnect: 'never' },
  rate: { code: 4029, reconnect: 'backoff' },
} as const;
export type CloseName = keyof typeof CLOSE;

/** Rejection and error codes: what HTTP says for each, and whether the same request may succeed later. */
export const ERROR_CODES = {
  bad_frame: { status: 400, retryable: false },
  bad_field: { status: 400, retryable: false },
  too_large: { status: 413, retryable: false },
  unauthorized: { status: 401, retryable: false },
  not_a_member: { status: 403, retryable: false },
  no_such_conversation: { status: 404, retryable: false },
  no_such_message: { status: 404, retryable: false },
  not_yours: { status: 403, retryable: false },
  rate_limited: { status: 429, retryable: true },
  overloaded: { status: 503, retryable: true },
  duplicate_conflict: { status: 409, retryable: false },
  internal: { status: 500, retryable: true },
} as const;
export type ErrorCode = keyof typeof ERROR_CODES;
