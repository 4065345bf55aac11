import type { GapReason, ServerFrame } from '@restante/shared/contract/server-frames';

/** What stands in an inbox, as a client gets it (PROTOCOL.md). */
export type InboxEntry =
  | {
      t: 'message';
      seq: number;
      gen: number;
      replayed: boolean;
      id: string;
      conversation: string;
      position: number;
      from: string;
      body: string;
      kind: string;
      sentAt: number;
      storedAt: number;
      self?: boolean;
    }
  | {
      t: 'deleted';
      seq: number;
      gen: number;
      replayed: boolean;
      conversation: string;
      position: number;
      by: string;
      at: number;
    }
  | {
      t: 'members';
      seq: number;
      gen: number;
      replayed: boolean;
      conversation: string;
      added?: string[];
      removed?: string[];
      by: string;
      at: number;
    }
  | {
      t: 'gap';
      seq: number;
      gen: number;
      from: number;
      to: number;
      count: number;
      reason: GapReason;
      conversations: string[];
    };
export type Frame = ServerFrame | InboxEntry;

/** @returns undefined for a frame type of a newer server: unknown ones are ignored. @throws SyntaxError where it is no JSON. */
export function parseFrame(text: string): Frame | undefined {
  const frame = JSON.parse(text) as { t?: unknown };
  return typeof frame === 'object' && frame !== null && KNOWN.has(String(frame.t)) ? (frame as Frame) : undefined;
}

const KNOWN: ReadonlySet<string> = new Set<Frame['t']>([
  'welcome',
  'accepted',
  'stored',
  'rejected',
  'message',
  'deleted',
  'members',
  'gap',
  'drained',
  'reset',
  'receipt',
  'typing',
  'presence',
  'error',
  'bye',
  'pong',
]);

export function isEntry(frame: Frame): frame is InboxEntry {
  return frame.t === 'message' || frame.t === 'deleted' || frame.t === 'members' || frame.t === 'gap';
}
