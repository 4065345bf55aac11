import { type BackoffOptions, backoffMs } from './backoff.ts';
import { afterClose } from './protocol.ts';

/**
 * `stopped`: not wanted, or ended for good (see `ended`). `standby`: another tab holds the connection. `waiting`: for the
 * next try. `connecting`: until `welcome`. `connected`.
 */
export type Phase = 'stopped' | 'standby' | 'waiting' | 'connecting' | 'connected';

export type ConnectionState = Readonly<{
  phase: Phase;
  /** The app wants a connection. */
  wanted: boolean;
  /** This tab is the one that may connect. */
  leader: boolean;
  online: boolean;
  /** Tries since the last connection that held for STABLE_MS. */
  failures: number;
  /** Tries in a row that ended before `welcome`: a bad token shows as no more than that in a browser. */
  refusals: number;
  /** Which of the gateways is next. */
  gateway: number;
  freshToken: boolean;
  connectedAt?: number;
  /** From `bye`: already spread out by the server. */
  reconnectAfterMs?: number;
  /** The close that ended it for good. */
  ended?: { code: number; reason: string };
}>;

export type ConnectionEvent =
  | { type: 'start' | 'stop' | 'due' | 'online' | 'offline' | 'visible' | 'welcomed' }
  | { type: 'leader'; leader: boolean }
  | { type: 'bye'; reconnectAfterMs: number }
  | { type: 'closed'; code: number; reason: string; retryAfterMs?: number };

/** What the driver is to do; a `wait` replaces the one before, and every other phase ends it. */
export type ConnectionEffect =
  | { type: 'open'; gateway: number; freshToken: boolean }
  | { type: 'close' }
  | { type: 'wait'; ms: number }
  | { type: 'probe' };

export type ConnectionRules = { backoff: BackoffOptions; stableMs: number; random: () => number; now: number };

/** A connection that held this long has proven the way: the next failure begins with the shortest wait again. */
export const STABLE_MS = 30_000;
/** Signals come to all apps at the same moment; a short spread keeps them apart. */
const SIGNAL_SPREAD_MS = 300;

export const initialConnection = (online: boolean, gateway: number): ConnectionState => ({
  phase: 'stopped',
  wanted: false,
  leader: false,
  online,
  failures: 0,
  refusals: 0,
  gateway,
  freshToken: false,
});

type Step = { state: ConnectionState; effects: ConnectionEffect[] };
const stay = (state: ConnectionState): Step => ({ state, effects: [] });

/** The next state of the connection and what to do about it. Pure. */
export function connectionStep(state: ConnectionState, event: ConnectionEvent, rules: ConnectionRules): Step {
  switch (event.type) {
    case 'start': {
      const { ended: _, ...rest } = state;
      return open({ ...rest, wanted: true });
    }
    case 'stop':
      return { state: { ...state, wanted: false, phase: 'stopped' }, effects: [{ type: 'close' }] };
    case 'leader':
      if (event.leader) return open({ ...state, leader: true });
      return {
        state: { ...state, leader: false, phase: state.wanted ? 'standby' : 'stopped' },
        effects: [{ type: 'close' }],
      };
    case 'due':
      return state.phase === 'waiting' ? open(state) : stay(state);
    case 'offline':
      return { state: { ...state, online: false }, effects: state.phase === 'connected' ? [{ type: 'probe' }] : [] };
    case 'online':
    case 'visible': {
      const next = event.type === 'online' ? { ...state, online: true } : state;
      if (next.phase === 'connected') return { state: next, effects: [{ type: 'probe' }] };
      if (next.phase !== 'waiting' || next.reconnectAfterMs !== undefined) return stay(next);
      return { state: next, effects: [{ type: 'wait', ms: Math.floor(rules.random() * SIGNAL_SPREAD_MS) }] };
    }
    case 'welcomed': {
      const { reconnectAfterMs: _, ...rest } = state;
      return stay({ ...rest, phase: 'connected', connectedAt: rules.now, refusals: 0, freshToken: false });
    }
    case 'bye':
      return stay({ ...state, reconnectAfterMs: event.reconnectAfterMs });
    case 'closed':
      return closed(state, event, rules);
  }
}

function open(state: ConnectionState): Step {
  if (!state.wanted || state.ended !== undefined) return stay(state);
  if (!state.leader) return stay({ ...state, phase: 'standby' });
  if (state.phase === 'connecting' || state.phase === 'connected') return stay(state);
  const { reconnectAfterMs: _, ...rest } = state;
  return {
    state: { ...rest, phase: 'connecting' },
    effects: [{ type: 'open', gateway: state.gateway, freshToken: state.freshToken }],
  };
}

function closed(state: ConnectionState, event: ConnectionEvent & { type: 'closed' }, rules: ConnectionRules): Step {
  if (state.phase !== 'connecting' && state.phase !== 'connected') return stay(state);
  const { connectedAt, ...rest } = state;
  const then = afterClose(event.code);
  if (then === 'never') {
    return stay({ ...rest, phase: 'stopped', ended: { code: event.code, reason: event.reason } });
  }
  const wasStable = connectedAt !== undefined && rules.now - connectedAt >= rules.stableMs;
  const failures = (wasStable ? 0 : state.failures) + 1;
  const refusals = connectedAt === undefined ? state.refusals + 1 : 0;
  const next: ConnectionState = {
    ...rest,
    phase: 'waiting',
    failures,
    refusals,
    // Another gateway may be well; where the token is what's wrong, none is better.
    gateway: then === 'new-token' ? state.gateway : state.gateway + 1,
    freshToken: then === 'new-token' || refusals >= 2,
  };
  const asked = state.reconnectAfterMs;
  const ms = asked ?? backoffMs(failures, rules.random(), rules.backoff, event.retryAfterMs ?? 0);
  // Sure to be without a network: the event will tell, the long wait is for devices whose word is wrong.
  return { state: next, effects: [{ type: 'wait', ms: state.online ? ms : Math.max(ms, rules.backoff.maxMs) }] };
}
