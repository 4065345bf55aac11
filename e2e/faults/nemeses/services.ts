import { sleep } from '@restante/shared/runtime/sleep';
import { metricOf } from '../../support/metrics.ts';
import { redisOf } from '../stores.ts';
import { KINDS, LEASE_MS, SESSION_TIMEOUT_MS, type ServiceKind, type System } from '../system.ts';
import type { Nemesis, Strike } from './nemesis.ts';
import { until } from './until.ts';

/** The launcher waits up to 10 s before it starts a service again that died often. */
const BACK_WITHIN_MS = 30_000;
const STOPS_WITHIN_MS = 30_000;
/** A gateway that boots takes a slot within this, where one is free. */
const SLOT_TAKEN_WITHIN_MS = 15_000;
/** A gateway that found its slot taken has closed its sockets by then. */
const STARTS_OVER_MS = 1_000;
/** A lease that nobody renews: long enough for one strike. */
const HELD_MS = 60_000;
const HOUR_MS = 3_600_000;

function pick({ system, random }: Strike, kind: ServiceKind): { name: string; pid: number } {
  return random.pick(system.services(kind));
}

/** Waits until the launcher has started it again. */
async function back(system: System, name: string, pid: number, withinMs: number): Promise<void> {
  const kind = name.split('-')[0] as ServiceKind;
  const isAnother = () => system.services(kind).find((service) => service.name === name)?.pid !== pid;
  if (await until(isAnother, withinMs)) return;
  throw new Error(`${name} (pid ${pid}) was not started again within ${withinMs / 1000} s`);
}

/** It may be gone, if somebody killed it meanwhile. */
function signalTo(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

const killed = (kind: ServiceKind): Nemesis => ({
  name: `${kind}-killed`,
  about: `SIGKILL of a ${kind}, at whatever it is just doing`,
  async strike(strike) {
    const { system, happened } = strike;
    const { name } = pick(strike, kind);
    await system.alone(name, async () => {
      const pid = system.stack.killService(name);
      happened(`${name} (pid ${pid})`);
      await back(system, name, pid, BACK_WITHIN_MS);
    });
  },
});

/** Not cut short by the quiet, which waits for it: a shorter pause would be another fault, or none. */
const paused = (kind: ServiceKind): Nemesis => {
  const pastMs = kind === 'gateway' ? LEASE_MS : SESSION_TIMEOUT_MS;
  return {
    name: `${kind}-paused`,
    about: `SIGSTOP of a ${kind} past its ${kind === 'gateway' ? 'lease' : 'place in the group'}, then SIGCONT`,
    async strike(strike) {
      const { system, random, happened } = strike;
      const { name } = pick(strike, kind);
      await system.alone(name, async () => {
        const pid = system.stack.killService(name, 'SIGSTOP');
        const pauseMs = pastMs + random.integer(500, 2_500);
        await sleep(pauseMs);
        if (signalTo(pid, 'SIGCONT')) happened(`${name} (pid ${pid}) for ${pauseMs} ms`);
      });
    },
  };
};

const slotKey = (slot: number): string => `slot:${slot}`;

/** The slot of a gateway that is ready, which it may have to become first. */
async function slotOf(system: System, name: string): Promise<number> {
  const { url, adminUrl } = system.stack.run.gateways.find((gateway) => gateway.name === name)!;
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  if (!(await until(isReady, BACK_WITHIN_MS)))
    throw new Error(`${name} was not ready within ${BACK_WITHIN_MS / 1000} s`);
  return metricOf(adminUrl, 'restante_gateway_slot');
}

/**
 * While it sleeps, its slot is given to another: when it wakes, it must find out before it writes anything. Redis is left alone
 * meanwhile, so that no other slot becomes free, and what is free before this one is held: a gateway takes the first.
 */
const fenced: Nemesis = {
  name: 'gateway-fenced',
  about: 'SIGSTOP of a gateway until another has taken its slot, then SIGCONT',
  async strike(strike) {
    const { system, happened } = strike;
    const { name } = pick(strike, 'gateway');
    await system.alone(name, () =>
      system.alone('redis', async () => {
        const redis = await redisOf(system);
        const held: string[] = [];
        try {
          const slot = await slotOf(system, name);
          const pid = system.stack.killService(name, 'SIGSTOP');
          try {
            const isFree = async () => (await redis.client.get(slotKey(slot))) === null;
            if (!(await until(isFree, 2 * LEASE_MS))) return;
            for (let before = 0; before < slot; before++)
              if (await redis.client.set(slotKey(before), 'held', 'PX', HELD_MS, 'NX')) held.push(slotKey(before));
            const other = await system.startExtra('gateway', 'gateway-extra');
            const isTaken = await until(async () => !(await isFree()), SLOT_TAKEN_WITHIN_MS);
            if (signalTo(pid, 'SIGCONT') && isTaken) happened(`${name} (pid ${pid}), slot ${slot}`);
            await sleep(STARTS_OVER_MS);
            await other.stop(STOPS_WITHIN_MS);
          } finally {
            signalTo(pid, 'SIGCONT');
          }
        } finally {
          if (held.length > 0) await redis.client.del(held);
          await redis.close();
        }
      }),
    );
  },
};

const rollingRestart: Nemesis = {
  name: 'rolling-restart',
  about: 'SIGTERM of each service, one after the other',
  async strike({ system, signal, happened }) {
    for (const { name } of KINDS.flatMap((kind) => system.services(kind))) {
      if (signal.aborted) return;
      await system.alone(name, async () => {
        const pid = system.stack.killService(name, 'SIGTERM');
        await back(system, name, pid, STOPS_WITHIN_MS + BACK_WITHIN_MS);
        happened(`${name} (pid ${pid})`);
      });
    }
  },
};

const rebalances: Nemesis = {
  name: 'rebalances',
  about: 'one more messaging or notification, started and ended again and again',
  async strike({ system, random, signal, happened }) {
    const kind = random.pick(['messaging', 'notification'] as const);
    for (let times = random.integer(2, 4); times > 0; times--) {
      const extra = await system.startExtra(kind, `${kind}-extra`);
      await sleep(random.integer(1_000, 3_000));
      happened(`${kind}-extra (pid ${extra.pid})`);
      await extra.stop(random.chance(0.5) ? 0 : STOPS_WITHIN_MS);
      if (signal.aborted) return;
    }
  },
};

const clocks: Nemesis = {
  name: 'clock-shifted',
  about: "a service's clock jumps, by seconds or by an hour, and back",
  async strike(strike) {
    const { system, random, signal, happened } = strike;
    const { name } = pick(strike, random.pick(KINDS));
    await system.alone(`clock of ${name}`, async () => {
      const offMs = random.pick([HOUR_MS, -HOUR_MS, 10_000, -10_000]);
      system.shiftClock(name, offMs);
      happened(`${name} by ${offMs / 1000} s`);
      await sleep(random.integer(3_000, 8_000), signal);
      system.shiftClock(name, 0);
    });
  },
};

export const SERVICE_NEMESES: readonly Nemesis[] = [
  ...KINDS.flatMap((kind) => [killed(kind), paused(kind)]),
  fenced,
  rollingRestart,
  rebalances,
  clocks,
];
