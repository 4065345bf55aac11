import { expect, test } from 'vitest';
import { runAttack } from './attack/attack.ts';
import { Attackers, type Counts, KINDS, MIX } from './attack/attackers.ts';

/** `npm run attack` in small: each kind of attacker meets its limit, and the honest lose nothing meanwhile. */
const SCALE = 0.008;
const LOOK_MS = 100;
const GIVEN_UP_MS = 60_000;
const MET = {
  slowloris: 'cut',
  silent: 'cut',
  badToken: 'status 401',
  flood: 'close 4029',
  oversize: 'close 1009',
} as const;

test('slow, silent, idle and flooding ones, bad tokens and frames too large: each is held or thrown out by its limit, honest users lose nothing', async () => {
  const said: string[] = [];
  const allMet = ({ ends }: Counts) => Object.entries(MET).every(([kind, end]) => ends[kind as keyof typeof MET][end]);
  const { before, ramp, during, counts, limits } = await runAttack({
    scale: SCALE,
    honest: 10,
    warmMs: 0,
    beforeMs: 1_000,
    over: (now, ms) => (allMet(now) && now.ends.flood['status 429'] !== undefined) || ms > GIVEN_UP_MS,
    launch(order, onCounts) {
      const attackers = new Attackers(order);
      const looking = setInterval(() => onCounts(attackers.counts()), LOOK_MS);
      return () => {
        clearInterval(looking);
        attackers.stop();
      };
    },
    say: (line) => said.push(line),
  });
  for (const [kind, end] of Object.entries(MET))
    expect(counts.ends[kind as keyof typeof MET], kind).toHaveProperty([end]);
  expect(counts.untried).toBe(0);
  expect(counts.standing.idle).toBe(Math.round(MIX.idle * SCALE));
  expect(KINDS.every((kind) => counts.attempts[kind] > 0)).toBe(true);
  for (const limit of ['FRAME_BYTES', 'RATE_FRAMES_PER_SECOND', 'THROWN_OUT_SECONDS'])
    expect(limits).toHaveProperty(limit);
  for (const seen of [before, ramp, during]) expect(seen, said.join('\n')).toMatchObject({ lost: 0, cut: [] });
  expect(during.sent).toBeGreaterThan(0);
});
