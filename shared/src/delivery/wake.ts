import { backoffMs } from '../runtime/sleep.ts';

/** A session that a live gateway holds, and how far its device has acked. */
export type WakeSession = { conn: string; slot: number; cursor: number };

export type WakeState = {
  nowMs: number;
  tail: number;
  /** The furthest cursor of the active devices: beyond it nobody has acked. */
  furthest: number;
  sessions: readonly WakeSession[];
  /** Those whose gateway holds no slot now: it is dead, or Redis has lost the lease alone and the gateway takes it again. */
  unseen: readonly WakeSession[];
  /** Pushes since anything was acked. */
  tries: number;
  /** The tail at the last push, and before when no other goes out. */
  push: { pushedTail: number; nextAtMs: number };
  /** The furthest cursor when sessions were last probed. */
  probe: { cursor: number; atMs: number } | undefined;
};

export type WakeRules = { redeliverAfterMs: number; pushRepeatMs: number; random: () => number };

export type WakeDecision = {
  /** Sessions to tell how far the inbox goes. */
  probe: WakeSession[];
  push: boolean;
  /** What to note in the inbox's meta: undefined where nothing changed. */
  note: { probedCursor: number | undefined; tries: number; nextPushMs?: number } | undefined;
  /** When to look again; undefined: nothing is owed, or nothing more is tried until something comes. */
  nextAtMs: number | undefined;
};

export const MAX_PUSHES = 8;
const PUSH_REPEAT_CAP_MS = 3_600_000;
/** A session that was probed is given this long to move before its user is woken by a push. */
export const PROBE_WAIT_MS = 1_000;

/**
 * Whom to wake, and when to look again (decision 15). Sessions that lag are probed for as long as they lag; a push goes out at
 * once where nobody is connected, and where someone is, only once a probe has moved nothing. One that is unseen is looked at again soon,
 * for as long as it lasts: it may be connected, and the next push an hour away.
 */
export function decideWake(state: WakeState, rules: WakeRules): WakeDecision {
  const decision = decideForSeen(state, rules);
  if (state.unseen.every(({ cursor }) => cursor >= state.tail)) return decision;
  return { ...decision, nextAtMs: earlier(state.nowMs + rules.redeliverAfterMs, decision.nextAtMs) };
}

function decideForSeen(state: WakeState, rules: WakeRules): WakeDecision {
  const { nowMs, tail, furthest, sessions, tries } = state;
  const lagging = sessions.filter(({ cursor }) => cursor < tail);
  const undelivered = furthest < tail;
  if (!undelivered && lagging.length === 0) return { probe: [], push: false, note: undefined, nextAtMs: undefined };
  const probeAgainMs = nowMs + rules.redeliverAfterMs;
  if (!undelivered) return { probe: lagging, push: false, note: undefined, nextAtMs: probeAgainMs };

  const probed =
    state.probe !== undefined && state.probe.cursor === furthest && nowMs - state.probe.atMs >= PROBE_WAIT_MS / 2;
  if (sessions.length > 0 && !probed) {
    return { probe: lagging, push: false, note: { probedCursor: furthest, tries }, nextAtMs: nowMs + PROBE_WAIT_MS };
  }
  const again = sessions.length > 0 ? probeAgainMs : undefined;
  // A burst wakes once: what comes after a push waits for the next one's time.
  if (state.push.nextAtMs > nowMs)
    return { probe: lagging, push: false, note: undefined, nextAtMs: earlier(state.push.nextAtMs, again) };
  // After the last push only something new begins again.
  const fresh = tail > state.push.pushedTail;
  if (tries >= MAX_PUSHES && !fresh) return { probe: lagging, push: false, note: undefined, nextAtMs: again };
  const count = tries >= MAX_PUSHES ? 0 : tries;
  const nextPushMs = backoffMs(count, rules.pushRepeatMs, PUSH_REPEAT_CAP_MS, rules.random);
  return {
    probe: lagging,
    push: true,
    note: { probedCursor: sessions.length > 0 ? furthest : undefined, tries: count + 1, nextPushMs },
    nextAtMs: earlier(nowMs + nextPushMs, again),
  };
}

const earlier = (atMs: number, other: number | undefined): number =>
  other === undefined ? atMs : Math.min(atMs, other);
