import { randomBytes } from 'node:crypto';
import { freeSlot, renewSlot, takeSlot } from '@restante/shared/inbox/slot-leases-redis';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { RedisStore } from '@restante/shared/runtime/redis';
import { sleep } from '@restante/shared/runtime/sleep';
import { metrics } from './events.ts';

export type HeldSlot = { slot: number; lease: string };
type Reader = { stop(): Promise<void> };

export type SlotOptions = {
  store: RedisStore;
  slots: number;
  leaseMs: number;
  logger: Logger;
  startReader(slot: number): Promise<Reader>;
  /** The slot is another's: every socket must close, before the next slot is taken. */
  onLost(): void;
};

const RETRY_MS = 1_000;

/**
 * The gateway's slot: a lease on one partition of `outgoing_messages`, and the reader of that partition. Ready only once the reader is
 * positioned: a hint that is written for a connection made after that will be read.
 */
export class SlotHolder {
  readonly #options: SlotOptions;
  readonly #stopping = new AbortController();
  #held: HeldSlot | undefined;
  #positioned = false;
  #reader: Reader | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  ready(): boolean {
    return this.#positioned && !this.#stopping.signal.aborted;
  }

  current(): HeldSlot | undefined {
    return this.#positioned ? this.#held : undefined;
  }

  /** Stops renewing and gives the slot back. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#reader?.stop();
    if (this.#held) await freeSlot(this.#options.store, this.#held.slot, this.#held.lease).catch(() => false);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { logger, leaseMs } = this.#options;
    while (!signal.aborted) {
      try {
        if (!this.#held) await this.#acquire();
        else if (!(await this.#renew())) await this.#lose();
      } catch (error) {
        // Redis or Kafka is away. The sockets stay: the lease can't be given to another while nobody can take it.
        logger.warn({ err: messageOf(error) }, 'slot');
      }
      await sleep(this.#held && this.#positioned ? leaseMs / 3 : RETRY_MS, signal);
    }
  }

  async #acquire(): Promise<void> {
    const { store, slots, leaseMs, logger, startReader } = this.#options;
    const lease = randomBytes(9).toString('base64url');
    const slot = await takeSlot(store, slots, lease, leaseMs);
    if (slot === undefined)
      return logger.warn({ slots }, 'no free slot: raise GATEWAY_SLOTS, or wait for the lease of a dead gateway');
    this.#held = { slot, lease };
    this.#reader = await startReader(slot);
    // The lease may have run out while the reader was positioned.
    if (!(await this.#renew())) return this.#lose();
    this.#positioned = true;
    metrics.slot.set(slot);
    logger.info({ slot, lease }, 'slot taken');
  }

  /** A lease that ran out while nobody took the slot is taken again: the partition was read by nobody else. */
  async #renew(): Promise<boolean> {
    const { store, leaseMs } = this.#options;
    const { slot, lease } = this.#held!;
    if (await renewSlot(store, slot, lease, leaseMs)) return true;
    return store
      .runOne({ script: 'inbox:slot-renew', keys: [`slot:${slot}`], args: [lease, leaseMs, 'take'] })
      .then((taken) => taken === 1);
  }

  async #lose(): Promise<void> {
    metrics.leaseLosses.inc();
    metrics.slot.set(-1);
    this.#options.logger.error(
      { slot: this.#held?.slot },
      'the slot is another gateway’s: closing all sockets, starting over',
    );
    this.#positioned = false;
    const reader = this.#reader;
    this.#reader = undefined;
    this.#held = undefined;
    this.#options.onLost();
    await reader?.stop();
  }
}
