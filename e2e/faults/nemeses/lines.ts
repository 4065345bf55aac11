import { sleep } from '@restante/shared/runtime/sleep';
import type { Line, LineFault } from '../line.ts';
import type { Lines, Outside } from '../system.ts';
import type { Nemesis, Strike } from './nemesis.ts';

type Place = keyof Lines;
const PLACES: readonly Place[] = ['kafka', 'redis', 'dynamodb', 'clients'];
const SLOW_MS: [number, number] = [2_000, 6_000];
const LOST_MS: [number, number] = [200, 2_500];

type Hurt = (line: Line, strike: Strike<Outside>) => Promise<string>;

/** Whatever `hurt` sets is taken back. What it says has happened, unless nothing was on the line: then it waits for the next. */
const onLines = (place: Place, what: string, about: string, hurt: Hurt): Nemesis<Outside> => ({
  name: `${place}-${what}`,
  about: about.replace('@', place === 'clients' ? 'between clients and gateways' : `between the services and ${place}`),
  async strike(strike) {
    const lines = strike.system.lines[place];
    await strike.system.alone(`line to ${place}`, async () => {
      const line = strike.random.pick(lines);
      try {
        strike.happened(await hurt(line, strike));
      } finally {
        line.set({});
      }
    });
  },
});

async function during(line: Line, fault: LineFault, ms: number, signal: AbortSignal): Promise<number> {
  const { open } = line;
  line.set(fault);
  await sleep(ms, signal);
  return open;
}

const slow: Hurt = async (line, { random, signal }) => {
  const delayMs = random.integer(50, 400);
  const open = await during(line, { delayMs }, random.integer(...SLOW_MS), signal);
  return `${open} connections, each answer and request ${delayMs} ms later`;
};

const cut: Hurt = async (line, { random, signal }) => {
  const count = line.cut();
  await during(line, { refuses: true }, random.integer(0, 1_500), signal);
  return `${count} connections`;
};

/** What was lost can't be made up for on the same connection, so that it ends by it. */
const answersLost: Hurt = async (line, { random, signal }) => {
  await during(line, { answersLost: true }, random.integer(...LOST_MS), signal);
  return `the answers of ${line.cut()} connections`;
};

export const LINE_NEMESES: readonly Nemesis<Outside>[] = PLACES.flatMap((place) => [
  onLines(place, 'slow', 'what passes @ comes late', slow),
  onLines(place, 'cut', 'every connection @ ends at once', cut),
  onLines(
    place,
    'answers-lost',
    'requests @ get through, their answers do not, and then the connections end',
    answersLost,
  ),
]);
