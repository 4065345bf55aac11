import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideWake, MAX_PUSHES, PROBE_WAIT_MS, type WakeState } from './wake.ts';

const NOW = 1_700_000_000_000;
const RULES = { redeliverAfterMs: 5_000, pushRepeatMs: 60_000, random: () => 1 };
const session = (cursor: number) => ({ conn: `c${cursor}`, slot: 0, cursor });
const state = (over: Partial<WakeState>): WakeState => ({
  nowMs: NOW,
  tail: 10,
  furthest: 4,
  sessions: [],
  unseen: [],
  tries: 0,
  probe: undefined,
  push: { pushedTail: 0, nextAtMs: 0 },
  ...over,
});

describe('decideWake', () => {
  it('owes nothing to whom everything is acked', () => {
    expect(decideWake(state({ furthest: 10, sessions: [session(10)] }), RULES)).toEqual({
      probe: [],
      push: false,
      note: undefined,
      nextAtMs: undefined,
    });
  });

  it('pushes at once where nobody is connected, and then waits', () => {
    const first = decideWake(state({}), RULES);
    expect(first).toMatchObject({ push: true, note: { tries: 1, nextPushMs: 60_000 }, nextAtMs: NOW + 60_000 });
    const burst = decideWake(state({ tail: 30, tries: 1, push: { pushedTail: 10, nextAtMs: NOW + 40_000 } }), RULES);
    expect(burst).toMatchObject({ push: false, note: undefined, nextAtMs: NOW + 40_000 });
    const again = decideWake(state({ tries: 1, push: { pushedTail: 10, nextAtMs: NOW } }), RULES);
    expect(again).toMatchObject({ push: true, note: { tries: 2, nextPushMs: 120_000 } });
  });

  it('probes who is connected, and pushes only where the probe moved nothing', () => {
    const sessions = [session(4)];
    const probing = decideWake(state({ sessions }), RULES);
    expect(probing).toMatchObject({
      probe: sessions,
      push: false,
      note: { probedCursor: 4 },
      nextAtMs: NOW + PROBE_WAIT_MS,
    });
    const unmoved = decideWake(state({ sessions, probe: { cursor: 4, atMs: NOW - PROBE_WAIT_MS } }), RULES);
    expect(unmoved).toMatchObject({ probe: sessions, push: true, nextAtMs: NOW + 5_000 });
    const moved = decideWake(state({ sessions, probe: { cursor: 3, atMs: NOW - PROBE_WAIT_MS } }), RULES);
    expect(moved).toMatchObject({ push: false, note: { probedCursor: 4 } });
  });

  it('goes on probing a session that lags behind another device, without a push', () => {
    const lagging = session(2);
    expect(decideWake(state({ furthest: 10, sessions: [session(10), lagging] }), RULES)).toMatchObject({
      probe: [lagging],
      push: false,
      nextAtMs: NOW + 5_000,
    });
  });

  it('ends after the last push, until something new comes', () => {
    const spent = { tries: MAX_PUSHES, push: { pushedTail: 10, nextAtMs: NOW - 1 } };
    expect(decideWake(state(spent), RULES)).toMatchObject({ push: false, nextAtMs: undefined });
    expect(decideWake(state({ ...spent, tail: 11 }), RULES)).toMatchObject({ push: true, note: { tries: 1 } });
  });

  it('looks again soon at a session that lags and whose gateway is not seen: the next push may be far away', () => {
    const waiting = { tries: 7, push: { pushedTail: 10, nextAtMs: NOW + 3_600_000 } };
    expect(decideWake(state({ ...waiting, unseen: [session(4)] }), RULES)).toMatchObject({
      probe: [],
      push: false,
      nextAtMs: NOW + 5_000,
    });
    expect(decideWake(state({ furthest: 10, unseen: [session(4)] }), RULES).nextAtMs).toBe(NOW + 5_000);
    expect(decideWake(state({ furthest: 10, unseen: [session(10)] }), RULES).nextAtMs).toBeUndefined();
  });

  it('never pushes before the time of the next, nor more than its bound for the same backlog', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 7_200_000 }), { maxLength: 60 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (steps, random) => {
          const rules = { ...RULES, random: () => random };
          let [nowMs, tries, pushes] = [NOW, 0, 0];
          let push = { pushedTail: 0, nextAtMs: 0 };
          for (const step of steps) {
            nowMs += step;
            const decision = decideWake(state({ nowMs, tries, push }), rules);
            if (!decision.push) continue;
            expect(nowMs).toBeGreaterThanOrEqual(push.nextAtMs);
            pushes++;
            tries = decision.note!.tries;
            push = { pushedTail: 10, nextAtMs: nowMs + decision.note!.nextPushMs! };
          }
          expect(pushes).toBeLessThanOrEqual(MAX_PUSHES);
        },
      ),
    );
  });
});
