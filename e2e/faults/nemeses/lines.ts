import { sleep } from '@restante/shared/runtime/sleep';
import type { Line, LineFault } from '../line.ts';
import type { Lines, Outside } from '../system.ts';
import type { Nemesis, Strike } from './nemesis.ts';
import { until } from './until.ts';

type Place = keyof Lines;
const PLACES: readonly Place[] = ['kafka', 'redis', 'dynamodb', 'clients'];
const SLOW_MS: [number, number] = [2_000, 6_000];
const LOST_MS: [number, number] = [200, 2_500];

/** How long a fault waits for something to come by that it can hurt. */
const PATIENCE_MS = 10_000;

/** @returns what it has done; undefined where nothing came by: then nothing has happened */
type Hurt = (line: Line, strike: Strike<Outside>, patienceMs: number) => Promise<string | undefined>;

/** Whatever `hurt` sets is taken back. */
const onLines = (
  place: Place,
  { what, about, hurt }: { what: string; about: string; hurt: Hurt },
  patienceMs: number,
): Nemesis<Outside> => ({
  name: `${place}-${what}`,
  about: about.replace('@', place === 'clients' ? 'between clients and gateways' : `between the services and ${place}`),
  async strike(strike) {
    const lines = strike.system.lines[place];
    await strike.system.alone(`line to ${place}`, async () => {
      const line = strike.random.pick(lines);
      try {
        const done = await hurt(line, strike, patienceMs);
        if (done !== undefined) strike.happened(done);
      } finally {
        line.set({});
      }
    });
  },
});

/** For so long, and on until it has hurt something. @returns how much */
async function during(line: Line, fault: LineFault, ms: number, { signal, patienceMs }: During): Promise<number> {
  line.set(fault);
  await sleep(ms, signal);
  await until(() => line.hurt > 0, patienceMs);
  return line.hurt;
}
type During = { signal: AbortSignal; patienceMs: number };

const slow: Hurt = async (line, { random, signal }, patienceMs) => {
  const delayMs = random.integer(50, 400);
  const late = await during(line, { delayMs }, random.integer(...SLOW_MS), { signal, patienceMs });
  return late > 0 ? `${late} requests and answers came ${delayMs} ms later` : undefined;
};

const cut: Hurt = async (line, { random, signal }, patienceMs) => {
  await until(() => line.open > 0, patienceMs);
  const count = line.cut();
  line.set({ refuses: true });
  await sleep(random.integer(0, 1_500), signal);
  return count > 0 ? `${count} connections` : undefined;
};

/** What was lost can't be made up for on the same connection, so that it ends by it. */
const answersLost: Hurt = async (line, { random, signal }, patienceMs) => {
  const dropped = await during(line, { answersLost: true }, random.integer(...LOST_MS), { signal, patienceMs });
  const count = line.cut();
  return dropped > 0 ? `${dropped} answers, and then ${count} connections` : undefined;
};

const WAYS = [
  { what: 'slow', about: 'what passes @ comes late', hurt: slow },
  { what: 'cut', about: 'every connection @ ends at once', hurt: cut },
  {
    what: 'answers-lost',
    about: 'requests @ get through, their answers do not, and then the connections end',
    hurt: answersLost,
  },
];

export const lineNemeses = (patienceMs = PATIENCE_MS): readonly Nemesis<Outside>[] =>
  PLACES.flatMap((place) => WAYS.map((way) => onLines(place, way, patienceMs)));
