import { CONNECTED_AGAIN, LEASE, REASSERT, RENEW } from './config.ts';
import type { Connection } from './connection.ts';
import { ensure } from './dynamo.ts';
import { SLOTS } from './kafka.ts';
import type { Hint } from './records.ts';
import type { Process, Steps } from './scheduler.ts';
import { reassert } from './session-scripts.ts';
import type { World } from './world.ts';

const REFILL_AFTER = 30;
const REFILL_PAUSE = 60;

/** Owns sockets; leases a slot and reads only its partition of outgoing_messages (decision 12). */
export class Gateway {
  readonly process: Process;
  readonly connections = new Map<string, Connection>();
  slot: number | undefined;
  lease = 0;
  private readonly world: World;
  private readPosition = 0;
  private readSlot = 0;
  /** By its own monotonic clock: when it last knew that the lease was its. */
  private leaseKnownAt = 0;

  constructor(world: World, name: string) {
    this.world = world;
    this.process = world.scheduler.process('gateway', name);
    for (const task of [this.keepLease(), this.readHints(), this.askForRefills(), this.reassertSessions()])
      world.scheduler.spawn(this.process, task);
  }

  /** Whether clients can connect: only once positioned (decision 12). */
  get ready(): boolean {
    return this.process.alive && this.slot !== undefined && this.world.scheduler.now >= this.process.pausedUntil;
  }

  open(connection: Connection): void {
    this.connections.set(connection.id, connection);
    this.world.scheduler.spawn(this.process, connection.run());
  }

  private *keepLease(): Steps {
    const { scheduler, redis } = this.world;
    for (;;) {
      if (this.slot === undefined && !(yield* this.takeLease())) {
        yield 50;
        continue;
      }
      yield RENEW;
      const askedAt = scheduler.now;
      if (this.isPastLease()) {
        this.startOver();
        continue;
      }
      const renewed = yield* redis.shared(this.process, '', (at) => {
        const held = at.state.slots[this.slot as number];
        if (held?.lease !== this.lease || held.expiresAt <= at.now) return false;
        held.expiresAt = at.now + LEASE;
        return true;
      });
      if ((!renewed && this.world.rule('leaseFence')) || this.isPastLease()) this.startOver();
      else this.leaseKnownAt = askedAt;
    }
  }

  private *takeLease(): Steps<boolean> {
    const { scheduler, redis, random, kafka } = this.world;
    const askedAt = scheduler.now;
    const lease = this.world.nextId();
    const taken = yield* redis.shared(this.process, `lease for ${this.process.name}`, (at) => {
      const free: number[] = [];
      for (let slot = 0; slot < SLOTS; slot++) if ((at.state.slots[slot]?.expiresAt ?? 0) <= at.now) free.push(slot);
      if (free.length === 0) return undefined;
      const slot = random.pick(free);
      at.state.slots[slot] = { lease, expiresAt: at.now + LEASE };
      return slot;
    });
    if (taken === undefined) return false;
    yield;
    this.readPosition = kafka.outgoing[taken]?.length ?? 0;
    this.readSlot = taken;
    this.lease = lease;
    this.leaseKnownAt = askedAt;
    this.slot = taken;
    return true;
  }

  private isPastLease(): boolean {
    return this.world.rule('leaseFence') && this.world.scheduler.now - this.leaseKnownAt > LEASE;
  }

  /** A gateway that was paused past its lease closes its sockets (decision 13). */
  private startOver(): void {
    this.world.log(`${this.process.name} lost its lease`);
    for (const connection of this.connections.values()) connection.close('lease');
    this.slot = undefined;
  }

  private *readHints(): Steps {
    const { kafka } = this.world;
    for (;;) {
      yield () => this.slot !== undefined && (kafka.outgoing[this.readSlot]?.length ?? 0) > this.readPosition;
      if (this.isPastLease()) {
        yield 10;
        continue;
      }
      const hint = kafka.outgoing[this.readSlot]?.[this.readPosition++] as Hint;
      this.connections.get(hint.connection)?.apply(hint);
    }
  }

  /** Whoever misses something and got no further since the last look asks; so does whoever heard nothing after its welcome. */
  private *askForRefills(): Steps {
    const { scheduler } = this.world;
    for (;;) {
      yield REFILL_AFTER;
      for (const connection of [...this.connections.values()]) {
        if (!connection.isOpen) continue;
        if (connection.askAgain(scheduler.now - CONNECTED_AGAIN)) {
          yield;
        } else if (connection.isStuck()) {
          yield;
          connection.publishRefill();
          yield REFILL_PAUSE;
        }
      }
    }
  }

  /** Says its sessions again: what a loss of Redis took is put back, what another connection replaced is closed (decision 13). */
  private *reassertSessions(): Steps {
    const { redis } = this.world;
    for (;;) {
      yield REASSERT;
      if (!this.world.rule('sessionsReasserted')) continue;
      for (const connection of [...this.connections.values()]) {
        const { asker, generation } = connection;
        if (!connection.isRegistered || !connection.isOpen || this.slot === undefined) continue;
        const asserted = yield* redis.forUser(this.process, asker.user, '', (at) =>
          connection.isOpen ? reassert(this.world, at, asker, generation) : 'fine',
        );
        if (this.world.rule('seenRefreshed')) this.refreshSeen(connection);
        if (asserted === 'replaced') connection.close(this.world.rule('reassertReconnects') ? 'reassert' : 'replaced');
        else if (asserted === 'unknown' && connection.generation !== undefined) connection.publishRefill();
      }
    }
  }

  /** A device that stays connected for longer than the retention was seen all the time, also where Redis forgot it. */
  refreshSeen(connection: Connection): void {
    const { user, device } = connection.asker;
    const row = ensure(this.world.dynamo.devices, user, () => new Map()).get(device);
    if (row) row.seenAt = Math.max(row.seenAt, this.world.scheduler.now + this.process.clockOffset);
  }
}
