import { fork } from 'node:child_process';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { runAttack } from './attack.ts';
import { Attackers, type Counts, KINDS, MIX, type Order } from './attackers.ts';

/**
 * npm run attack: over 10,000 that mean no good (slowloris, silence, bad tokens, floods, frames too large, idle ones), while 100 honest users send to
 * one another. Says what stood, what each kind met with, by which limit, and what the honest saw before and during.
 */
const P99_MS = 250;
/** At the median: an attack that the machine has no time for is none. */
const STANDING = 10_000;
const LOOK_MS = 250;
const ATTACKERS_NICE = 15;

async function main(duringSeconds: number, scale: number): Promise<number> {
  const { before, ramp, during, standing, counts, limits, memory } = await runAttack({
    scale,
    honest: 100,
    warmMs: 20_000,
    beforeMs: 8_000,
    over: (_, ms) => ms >= duringSeconds * 1000,
    launch(order, onCounts) {
      const child = fork(fileURLToPath(import.meta.url), ['attackers']);
      child.on('message', (counts) => onCounts(counts as Counts));
      // They would be on other machines: here they get the time that what they attack leaves. What stood and was tried says whether it was enough.
      if (child.pid !== undefined) setPriority(child.pid, ATTACKERS_NICE);
      child.send(order);
      return () => child.kill('SIGKILL');
    },
    say: (line) => console.log(line),
  });
  console.log(`sockets of attackers that stood: ${standing.least} to ${standing.most}, median ${standing.median}`);
  for (const kind of KINDS) {
    const ends = Object.entries(counts.ends[kind]).sort(([, a], [, b]) => b - a);
    const met = ends.map(([end, times]) => `${end} ${times} times`).join(', ') || 'never ended';
    console.log(
      `  ${kind} (${Math.round(MIX[kind] * scale)}): ${counts.standing[kind]} stand, ${counts.attempts[kind]} attempts; ${met}`,
    );
  }
  console.log(`limits: ${JSON.stringify(limits)}`);
  for (const one of memory) console.log(one);
  const lost = before.lost + ramp.lost + during.lost;
  const stood = standing.median >= STANDING * scale;
  const holds = during.p99 < P99_MS && lost === 0 && during.cut.length === 0 && stood;
  console.log(
    `${holds ? 'holds' : 'FAILS'}: p99 ${during.p99.toFixed(1)} ms (asked: under ${P99_MS}), lost ${lost}, cut ${during.cut.length} (asked: 0), ${standing.median} stood (asked: ${STANDING * scale})`,
  );
  return holds ? 0 : 1;
}

if (process.argv[2] === 'attackers') {
  process.on('message', (order) => {
    const attackers = new Attackers(order as Order);
    setInterval(() => process.send?.(attackers.counts()), LOOK_MS);
  });
  process.on('disconnect', () => process.exit(0));
} else {
  process.exitCode = await main(Number(process.argv[2] ?? 30), Number(process.argv[3] ?? 1));
}
