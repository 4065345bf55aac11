import type { Admin, Kafka } from 'kafkajs';
import { type OwnClient, ownClient } from './client.ts';
import { settledWithin } from './settled-within.ts';

const USE_TIMEOUT_MS = 15_000;
const DISCONNECT_TIMEOUT_MS = 2000;

type Held = { admin: Admin; own: OwnClient; connected: Promise<void> };

/** An admin client that connects when it is first needed, and after a failure is made anew rather than trusted again. */
export class AdminHolder {
  #kafka: Kafka;
  #held: Held | undefined;

  constructor(kafka: Kafka) {
    this.#kafka = kafka;
  }

  /** @throws what `work` throws, or that Kafka did not answer in time. */
  async use<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    this.#held ??= this.#connect();
    const held = this.#held;
    const result = held.connected.then(() => work(held.admin));
    const inTime = await settledWithin(result, USE_TIMEOUT_MS);
    try {
      if (!inTime) throw new Error(`Kafka did not answer an admin request within ${USE_TIMEOUT_MS} ms`);
      return await result;
    } catch (error) {
      if (this.#held === held) void this.close();
      throw error;
    }
  }

  /** Also where it has never connected: the next `use` begins anew at once. */
  async close(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    await settledWithin(held.admin.disconnect(), DISCONNECT_TIMEOUT_MS);
    held.own.destroy();
  }

  #connect(): Held {
    const own = ownClient(this.#kafka);
    const admin = own.kafka.admin();
    return { own, admin, connected: admin.connect() };
  }
}
