import { DUE_CLAIM } from './config.ts';
import { activeDevices, findInbox, sessionsOf } from './inbox-scripts.ts';
import { LeaseCopy } from './leases.ts';
import { rebuild } from './rebuild.ts';
import type { User } from './records.ts';
import type { Inbox, Script, Session } from './redis.ts';
import type { Process, Steps } from './scheduler.ts';
import type { World } from './world.ts';

const POLL = 15;
const FIRST_REPEAT = 300;
const LONGEST_REPEAT = 2000;
const PROBE_AGAIN = 600;
export const MOST_PUSHES = 8;
const EPSILON = 0.001;

type Looked = {
  missing: boolean;
  partial: boolean;
  owes: boolean;
  generation: number;
  tail: number;
  probes: number;
  sessions: (Session & { connection: string })[];
};

/** Who needs a redelivery or a push, by when (decision 15). */
export class Due {
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  /** Adding always changes the score: who claimed the user before that will not remove it. */
  *add(process: Process, user: User, delay: number): Steps {
    yield* this.world.redis.shared(process, '', (at) => {
      const before = at.state.due[user];
      const wanted = at.now + delay;
      if (before === undefined) at.state.due[user] = wanted;
      else
        at.state.due[user] = this.world.rule('dueCompares')
          ? Math.min(wanted, before - EPSILON)
          : Math.min(wanted, before);
    });
  }

  *worker(process: Process): Steps {
    const leases = new LeaseCopy(this.world);
    for (;;) {
      yield POLL;
      if (this.world.rule('dueSeeded')) yield* this.seed(process);
      const claimed = yield* this.claim(process);
      if (!claimed) continue;
      const next = yield* this.look(process, claimed.user, leases);
      yield* this.finish(process, claimed, next);
    }
  }

  /** After a loss the queue is filled again from the devices, and a mark in it says for which memory (decision 10). */
  private *seed(process: Process): Steps {
    const { dynamo, redis } = this.world;
    const stores = redis.stores();
    const seeding = this.world.nextId();
    const done = yield* redis.shared(process, '', (at) => {
      if (at.state.seeded === stores) return true;
      at.state.seeding = seeding;
      return false;
    });
    if (done) return;
    yield;
    for (const user of [...dynamo.devices.keys()]) yield* this.add(process, user, 0);
    yield* redis.shared(process, `seeded for ${stores}`, (at) => {
      if (redis.stores() === stores && at.state.seeding === seeding) at.state.seeded = stores;
    });
  }

  /** Claims by raising the score: who dies with it is followed by another. */
  private *claim(process: Process): Steps<{ user: User; score: number } | undefined> {
    return yield* this.world.redis.shared(process, '', (at) => {
      for (const [user, when] of Object.entries(at.state.due)) {
        if (when > at.now) continue;
        const score = at.now + DUE_CLAIM + this.world.random.next();
        at.state.due[user] = score;
        return { user, score };
      }
      return undefined;
    });
  }

  /** Probes whoever is connected, wakes who is not. @returns after how long to look again; undefined: there is nothing to do. */
  private *look(process: Process, user: User, leases: LeaseCopy): Steps<number | undefined> {
    const { world } = this;
    const { kafka, redis } = world;
    let looked = yield* redis.forUser(process, user, 'due', (at) => lookAt(world, at, user));
    if (world.rule('dueSeeded') && (looked.missing || looked.partial) && world.dynamo.devices.has(user)) {
      yield* rebuild(world, process, user);
      looked = yield* redis.forUser(process, user, 'due, rebuilt,', (at) => lookAt(world, at, user));
    }
    if (!looked.owes) return undefined;
    const alive = yield* leases.alive(process, looked.sessions);
    if (world.rule('probe')) {
      for (const { slot, connection } of alive) {
        yield;
        kafka.appendHint(slot, { connection, generation: looked.generation, probe: { tail: looked.tail } });
      }
    }
    for (const device of world.devicesOf(user)) device.wake();
    const repeat = Math.min(LONGEST_REPEAT, FIRST_REPEAT * 2 ** looked.probes);
    if (alive.length > 0 && world.rule('probe')) return Math.min(repeat, PROBE_AGAIN);
    return looked.probes >= MOST_PUSHES ? undefined : repeat;
  }

  /** Removes only what is empty, and unchanged since it was claimed. */
  private *finish(process: Process, claimed: { user: User; score: number }, next: number | undefined): Steps {
    const { user, score } = claimed;
    const compares = this.world.rule('dueCompares');
    yield* this.world.redis.shared(process, '', (at) => {
      const current = at.state.due[user];
      if (compares && current !== score) return;
      if (next === undefined) delete at.state.due[user];
      else
        at.state.due[user] =
          compares || current === score ? at.now + next : Math.min(at.now + next, current ?? at.now + next);
    });
  }
}

function lookAt(world: World, at: Script, user: User): Looked {
  const inbox = findInbox(world, at, user);
  const sessions = Object.entries(sessionsOf(at, user)).map(([connection, session]) => ({ connection, ...session }));
  if (!inbox) return { missing: true, partial: false, owes: false, generation: 0, tail: 0, probes: 0, sessions };
  const owes = inbox.partial || owesAnything(world, at, user, inbox);
  const { partial, generation, tail, probes } = inbox;
  inbox.probes++;
  return { missing: false, partial, owes, generation, tail, probes, sessions };
}

/** Whether an active device has not acked all of it; with none active nobody is left to wake. */
export function owesAnything(world: World, at: Script, user: User, inbox: Inbox): boolean {
  if (Object.keys(inbox.cursors).length === 0) return inbox.tail > inbox.base;
  return activeDevices(world, at, user, inbox).some((device) => (inbox.cursors[device] ?? 0) < inbox.tail);
}
