import { sleep } from '@restante/shared/runtime/sleep';
import { KINDS, LEASE_MS, SESSION_TIMEOUT_MS, type ServiceKind, type System } from '../system.ts';
import type { Nemesis, Strike } from './nemesis.ts';

const POLL_MS = 100;
/** The launcher waits up to 10 s before it starts a service again that died often. */
const BACK_WITHIN_MS = 30_000;
const STOPS_WITHIN_MS = 30_000;
/** A gateway that boots takes a slot within this, where one is free. */
const SLOT_TAKEN_MS = 4_000;
const HOUR_MS = 3_600_000;

function pick({ system, random }: Strike, kind: ServiceKind): { name: string; pid: number } {
  return random.pick(system.services(kind));
}

/** Waits until the launcher has started it again. */
async function back(system: System, name: string, pid: number, withinMs: number): Promise<void> {
  const end = Date.now() + withinMs;
  const kind = name.split('-')[0] as ServiceKind;
  while (system.services(kind).find((service) => service.name === name)?.pid === pid) {
    if (Date.now() > end) throw new Error(`${name} (pid ${pid}) was not started again within ${withinMs / 1000} s`);
    await sleep(POLL_MS);
  }
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

const paused = (kind: ServiceKind): Nemesis => {
  const pastMs = kind === 'gateway' ? LEASE_MS : SESSION_TIMEOUT_MS;
  return {
    name: `${kind}-paused`,
    about: `SIGSTOP of a ${kind} past its ${kind === 'gateway' ? 'lease' : 'place in the group'}, then SIGCONT`,
    async strike(strike) {
      const { system, random, signal, happened } = strike;
      const { name } = pick(strike, kind);
      await system.alone(name, async () => {
        const pid = system.stack.killService(name, 'SIGSTOP');
        happened(`${name} (pid ${pid})`);
        await sleep(pastMs + random.integer(500, 2_500), signal);
        signalTo(pid, 'SIGCONT');
      });
    },
  };
};

/** While it sleeps, its slot is given to another: when it wakes, it must find out before it writes anything. */
const fenced: Nemesis = {
  name: 'gateway-fenced',
  about: 'SIGSTOP of a gateway until another has taken its slot, then SIGCONT',
  async strike(strike) {
    const { system, signal, happened } = strike;
    const { name } = pick(strike, 'gateway');
    await system.alone(name, async () => {
      const pid = system.stack.killService(name, 'SIGSTOP');
      await sleep(LEASE_MS + 500, signal);
      const other = await system.startExtra('gateway', 'gateway-extra');
      await sleep(SLOT_TAKEN_MS, signal);
      happened(`${name} (pid ${pid})`);
      signalTo(pid, 'SIGCONT');
      await sleep(1_000, signal);
      await other.stop(STOPS_WITHIN_MS);
    });
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
