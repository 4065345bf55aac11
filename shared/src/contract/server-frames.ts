import type { ErrorCode } from './codes.ts';

/** Frames from server to client (PROTOCOL.md). Inbox entries are passed through as text: see entry.ts. */
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
export type GapReason = 'expired' | 'overflow' | 'dead-lettered' | 'device-expired';
export type ServerFrame =
  | WelcomeFrame
  | { t: 'accepted'; id: string; at: number }
  | { t: 'stored'; id: string; conversation: string; position: number; at: number }
  | { t: 'rejected'; id: string; code: ErrorCode; message: string; retryable: boolean; retryAfterMs?: number }
  | { t: 'drained'; seq: number; gen: number }
  | { t: 'reset'; gen: number; acked: number; tail: number }
  | { t: 'receipt'; conversation: string; user: string; delivered?: number; read?: number }
  | { t: 'typing'; conversation: string; user: string; on: boolean }
  | { t: 'presence'; user: string; online: boolean; lastSeen?: number }
  | { t: 'error'; code: ErrorCode; message: string }
  | { t: 'bye'; code: number; reason: string; reconnectAfterMs: number }
  | { t: 'pong'; n?: number; now: number };
