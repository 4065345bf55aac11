import { sleep } from '@restante/shared/runtime/sleep';
import { redisOf } from '../stores.ts';
import type { EngineName } from '../system.ts';
import type { Nemesis, Strike } from './nemesis.ts';

const AWAY_MS: [number, number] = [300, 4_000];

/** @param meanwhile what is done to it while it is down; says what it was */
async function restart(
  { system, random, signal, happened }: Strike,
  name: EngineName,
  meanwhile: () => string = () => '',
): Promise<void> {
  await system.alone(name, async () => {
    await system.killEngine(name);
    happened(`${name}${meanwhile()}`);
    await sleep(random.integer(...AWAY_MS), signal);
    await system.startEngine(name);
  });
}

const killed = (name: EngineName): Nemesis => ({
  name: `${name}-killed`,
  about: `SIGKILL of ${name}, which comes back on its data`,
  strike: (strike) => restart(strike, name),
});

const rolledBack: Nemesis = {
  name: 'redis-rolled-back',
  about: 'SIGKILL of Redis, which comes back without the last of what it had taken',
  strike: (strike) =>
    restart(strike, 'redis', () => `: ${strike.system.rollRedisBack(strike.random.next() * 0.1)} bytes lost`),
};

const flushed: Nemesis = {
  name: 'redis-flushed',
  about: 'FLUSHALL',
  async strike({ system, happened }) {
    await system.alone('redis', async () => {
      const redis = await redisOf(system);
      try {
        const keys = await redis.client.dbsize();
        await redis.client.flushall();
        happened(`${keys} keys`);
      } finally {
        await redis.close();
      }
    });
  },
};

export const ENGINE_NEMESES: readonly Nemesis[] = [
  killed('kafka'),
  killed('redis'),
  killed('dynamodb'),
  rolledBack,
  flushed,
];
