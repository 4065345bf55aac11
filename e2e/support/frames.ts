/** What PROTOCOL.md says of frames from the server, as a client of another team would write it down: nothing is imported. */
export type Frame = { t: string } & Record<string, unknown>;

export type WelcomeFrame = {
  t: 'welcome';
  connection: string;
  user: string;
  device: string;
  gen: number;
  acked: number;
  tail: number;
  window: number;
  heartbeatSeconds: number;
  now: number;
};

export type MessageFrame = {
  t: 'message';
  seq: number;
  gen: number;
  id: string;
  conversation: string;
  position: number;
  from: string;
  body: string;
  kind: string;
  sentAt: number;
  storedAt: number;
  replayed: boolean;
  self?: true;
};

/** Reasons of a `gap`. */
export const GAP_REASONS = ['expired', 'overflow', 'dead-lettered', 'device-expired'] as const;
export type GapFrame = {
  t: 'gap';
  seq: number;
  gen: number;
  from: number;
  to: number;
  count: number;
  reason: (typeof GAP_REASONS)[number];
  conversations: string[];
};

/** Everything that takes a seq of the inbox. */
export type EntryFrame =
  | MessageFrame
  | GapFrame
  | { t: 'deleted'; seq: number; gen: number; conversation: string; position: number; by: string; at: number }
  | { t: 'members'; seq: number; gen: number; conversation: string; by: string; at: number };

type Shape = Record<string, 'string' | 'number' | 'boolean' | 'array' | 'number?' | 'boolean?' | 'string?' | 'array?'>;

const SHAPES: Record<string, Shape> = {
  welcome: {
    connection: 'string',
    user: 'string',
    device: 'string',
    gen: 'number',
    acked: 'number',
    tail: 'number',
    window: 'number',
    heartbeatSeconds: 'number',
    now: 'number',
  },
  accepted: { id: 'string', at: 'number' },
  stored: { id: 'string', conversation: 'string', position: 'number', at: 'number' },
  rejected: { id: 'string', code: 'string', message: 'string', retryable: 'boolean', retryAfterMs: 'number?' },
  message: {
    seq: 'number',
    gen: 'number',
    id: 'string',
    conversation: 'string',
    position: 'number',
    from: 'string',
    body: 'string',
    kind: 'string',
    sentAt: 'number',
    storedAt: 'number',
    replayed: 'boolean',
    self: 'boolean?',
  },
  deleted: { seq: 'number', gen: 'number', conversation: 'string', position: 'number', by: 'string', at: 'number' },
  members: {
    seq: 'number',
    gen: 'number',
    conversation: 'string',
    by: 'string',
    at: 'number',
    added: 'array?',
    removed: 'array?',
  },
  gap: {
    seq: 'number',
    gen: 'number',
    from: 'number',
    to: 'number',
    count: 'number',
    reason: 'string',
    conversations: 'array',
  },
  drained: { seq: 'number', gen: 'number' },
  reset: { gen: 'number', acked: 'number', tail: 'number' },
  receipt: { conversation: 'string', user: 'string', delivered: 'number?', read: 'number?' },
  typing: { conversation: 'string', user: 'string', on: 'boolean' },
  presence: { user: 'string', online: 'boolean', lastSeen: 'number?' },
  error: { code: 'string', message: 'string' },
  bye: { code: 'number', reason: 'string', reconnectAfterMs: 'number' },
  pong: { n: 'number?', now: 'number' },
};

/** What is wrong with the shape of a frame, undefined where nothing is. Fields that the protocol doesn't name are free. */
export function shapeProblem(frame: Frame): string | undefined {
  const shape = SHAPES[frame.t];
  if (!shape) return `unknown frame type ${JSON.stringify(frame.t)}`;
  for (const [field, kind] of Object.entries(shape)) {
    const value = frame[field];
    if (value === undefined && kind.endsWith('?')) continue;
    const is = Array.isArray(value) ? 'array' : typeof value;
    if (is !== kind.replace('?', '')) return `${frame.t}.${field} is ${is}, not ${kind}`;
  }
  return undefined;
}

export const isEntry = (frame: Frame): boolean =>
  frame.t === 'message' || frame.t === 'deleted' || frame.t === 'members' || frame.t === 'gap';
