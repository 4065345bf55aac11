import { LEASE_COPY_AGE } from './config.ts';
import type { Process, Steps } from './scheduler.ts';
import type { World } from './world.ts';

/** A copy of the leases: a script at {user} can't read them, so the caller drops the sessions of dead slots (decision 6). */
export class LeaseCopy {
  private leases = new Map<number, number>();
  private readAt = Number.NEGATIVE_INFINITY;
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  *alive<S extends { slot: number; lease: number }>(process: Process, sessions: readonly S[]): Steps<S[]> {
    if (sessions.length === 0) return [];
    const { redis, scheduler } = this.world;
    if (scheduler.now - this.readAt > LEASE_COPY_AGE) {
      this.readAt = scheduler.now;
      this.leases = yield* redis.shared(process, '', (at) => {
        const held = Object.entries(at.state.slots).filter(([, lease]) => lease.expiresAt > at.now);
        return new Map(held.map(([slot, { lease }]) => [Number(slot), lease]));
      });
    }
    return sessions.filter(({ slot, lease }) => this.leases.get(slot) === lease);
  }
}
