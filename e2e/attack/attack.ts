import { metricsText } from '../support/metrics.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { type Counts, DEVICES_EACH, KINDS, KINDS_WITH_TOKEN, type Kind, MIX, type Order } from './attackers.ts';
import { Honest, type Seen } from './honest.ts';

/** Of those who are let in and stay: a few may be on their way at any time. */
const MOST_LET_IN = 0.95;
const MOST_RAMP_MS = 60_000;
/** Who is let in only to be thrown out, and with which close. */
const THROWN_OUT = [
  ['flood', 'close 4029'],
  ['oversize', 'close 1009'],
] as const;
/** What one gateway of such a machine takes (docs/scale.md): with two cores for ten processes, far less than the defaults. */
const LAPTOP = {
  CONNECT_PER_SECOND: '40',
  SEND_PER_SECOND: '100',
  RATE_ACCEPT_PER_ADDRESS: '50',
  RATE_UNAUTHORIZED_PER_MINUTE: '120',
  RATE_FRAMES_PER_SECOND: '20',
  THROWN_OUT_SECONDS: '600',
  THROWN_OUT_TIMES: '1',
};

export type AttackOptions = {
  scale: number;
  honest: number;
  warmMs: number;
  beforeMs: number;
  /** Whether the attack has lasted long enough, as it stands, that many ms after all had their turn. */
  over(counts: Counts, ms: number): boolean;
  /** Lets the attackers go. @returns what ends them */
  launch(order: Order, onCounts: (counts: Counts) => void): () => void;
  say(line: string): void;
};
export type Outcome = {
  before: Seen;
  ramp: Seen;
  during: Seen;
  /** At each look while the honest talked. */
  standing: { least: number; median: number; most: number };
  counts: Counts;
  /** What the gateways refused or closed, by the limit's name. */
  limits: Record<string, number>;
  memory: string[];
};

/** Runs the attack on a stack of its own: honest users talk before it, while it begins, and while all of it is there. */
export async function runAttack({
  scale,
  honest: users,
  warmMs,
  beforeMs,
  over,
  launch,
  say,
}: AttackOptions): Promise<Outcome> {
  const stack = await startStack({ gateways: 2, env: LAPTOP });
  let end = () => {};
  try {
    const honest = await Honest.connect(stack, users);
    await honest.seen(await honest.talk('warm', warmMs));
    const before = await honest.seen(await honest.talk('before', beforeMs));
    say(line('before', before));
    const looks: Counts[] = [];
    const order = { urls: stack.gatewayUrls, tokens: await tokensOfAttackers(stack, scale), scale };
    end = launch(order, (counts) => looks.push(structuredClone(counts)));
    const attackers = KINDS.reduce((sum, kind) => sum + Math.round(MIX[kind] * scale), 0);
    const rampEnd = performance.now() + MOST_RAMP_MS;
    // Once each has had its turn: those who are to stay have been let in, those who are to be thrown out were.
    const settled = () => {
      const now = looks.at(-1);
      const most = (kind: Kind) => MIX[kind] * scale * MOST_LET_IN;
      return (
        now?.untried === 0 &&
        now.standing.idle >= most('idle') &&
        THROWN_OUT.every(([kind, end]) => (now.ends[kind][end] ?? 0) >= most(kind))
      );
    };
    const ramp = await honest.seen(
      await honest.talk('ramp', () => settled() || honest.cut.length > 0 || performance.now() > rampEnd),
    );
    say(line('while it begins', ramp));
    if (ramp.cut.length > 0) throw new Error(`honest users were cut, as the launcher says:\n${stack.output}`);
    looks.length = 0;
    const began = performance.now();
    const now = () => looks.at(-1);
    const ended = () => now() !== undefined && over(now()!, performance.now() - began);
    const during = await honest.seen(await honest.talk('during', ended));
    say(line(`during (${attackers} attackers)`, during));
    const standing = looks.map(({ standing }) => KINDS.reduce((sum, kind) => sum + standing[kind], 0));
    standing.sort((a, b) => a - b);
    return {
      ...{ before, ramp, during },
      standing: { least: standing[0]!, median: standing[standing.length >> 1]!, most: standing.at(-1)! },
      counts: looks.at(-1)!,
      ...(await lookInside(stack)),
    };
  } finally {
    end();
    await stack.kill();
  }
}

function tokensOfAttackers(stack: Stack, scale: number): Promise<string[]> {
  const devices = KINDS_WITH_TOKEN.reduce((sum, kind) => sum + Math.round(MIX[kind] * scale), 0);
  const users = Math.ceil(devices / DEVICES_EACH);
  return Promise.all(Array.from({ length: users }, (_, i) => stack.token(`attacker-${i}`)));
}

async function lookInside(stack: Stack): Promise<Pick<Outcome, 'limits' | 'memory'>> {
  const limits: Record<string, number> = {};
  const memory: string[] = [];
  for (const { name, adminUrl } of stack.run.gateways) {
    const text = await metricsText(adminUrl);
    for (const [, limit, value] of text.matchAll(/^restante_gateway_limited_total\{limit="(\w+)"\} (\d+)/gm))
      limits[limit!] = (limits[limit!] ?? 0) + Number(value);
    const value = (metric: string) => Number(new RegExp(`^${metric} (\\S+)`, 'm').exec(text)?.[1]);
    const mib = Math.round(value('process_resident_memory_bytes') / 2 ** 20);
    memory.push(`${name}: ${value('restante_gateway_connections')} connections let in, ${mib} MiB`);
  }
  return { limits, memory };
}

const line = (name: string, { sent, lost, refused, cut, p50, p99, most }: Seen): string =>
  `${name}: ${sent} sent, ${lost} lost${refused.length > 0 ? ` (refused: ${[...new Set(refused)].join(', ')})` : ''}, ${cut.length} honest connections cut${cut.length > 0 ? ` (${[...new Set(cut)].join(', ')})` : ''}; p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, at most ${most.toFixed(1)} ms`;
