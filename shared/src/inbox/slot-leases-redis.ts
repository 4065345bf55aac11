import type { Logger } from 'pino';
import { messageOf } from '../runtime/errors.ts';
import type { RedisStore } from '../runtime/redis.ts';

const slotKey = (slot: number): string => `slot:${slot}`;

async function change(
  store: RedisStore,
  slot: number,
  lease: string,
  ms: number,
  how: 'take' | 'renew' | 'free',
): Promise<boolean> {
  return (await store.runOne({ script: 'inbox:slot-renew', keys: [slotKey(slot)], args: [lease, ms, how] })) === 1;
}

/** Takes the first free slot. @returns undefined where all are leased: the gateway is not ready, and tries again. */
export async function takeSlot(
  store: RedisStore,
  slots: number,
  lease: string,
  leaseMs: number,
): Promise<number | undefined> {
  for (let slot = 0; slot < slots; slot++) if (await change(store, slot, lease, leaseMs, 'take')) return slot;
  return undefined;
}

/** @returns false where the slot is another's by now: its sockets must close. */
export const renewSlot = (store: RedisStore, slot: number, lease: string, leaseMs: number): Promise<boolean> =>
  change(store, slot, lease, leaseMs, 'renew');

export const freeSlot = (store: RedisStore, slot: number, lease: string): Promise<boolean> =>
  change(store, slot, lease, 0, 'free');

const REFRESH_MS = 500;
/** Beyond this age the copy says nothing: sessions are then taken for alive, and the due queue's probe finds out (decision 6). */
const STALE_MS = 5_000;

/**
 * A copy of all leases, at most a second old, for those who must know whether a session's gateway lives: a script at {user}
 * can't read slot:<n>, which is on another node of a cluster.
 */
export class SlotLeases {
  readonly #store: RedisStore;
  readonly #slots: number;
  readonly #logger: Logger;
  #leases: (string | null)[] = [];
  #readAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #reading = false;

  constructor(store: RedisStore, slots: number, logger: Logger) {
    this.#store = store;
    this.#slots = slots;
    this.#logger = logger;
  }

  async start(): Promise<void> {
    await this.refresh();
    this.#timer = setInterval(() => void this.refresh(), REFRESH_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async refresh(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      this.#leases = await Promise.all(
        Array.from({ length: this.#slots }, (_, slot) => this.#store.client.get(slotKey(slot))),
      );
      this.#readAt = Date.now();
    } catch (error) {
      this.#logger.warn({ err: messageOf(error) }, 'leases could not be read');
    } finally {
      this.#reading = false;
    }
  }

  /** Slots that gateways hold. */
  held(): { slot: number; lease: string }[] {
    return this.#leases.flatMap((lease, slot) => (lease ? [{ slot, lease }] : []));
  }

  /** False only where the slot is known to be free or another's. */
  isAlive(slot: number, lease: string): boolean {
    if (Date.now() - this.#readAt > STALE_MS) return true;
    return this.#leases[slot] === lease;
  }
}
