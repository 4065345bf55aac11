import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { touchDevice } from '@restante/shared/inbox/devices-dynamo';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import { pool } from '@restante/shared/runtime/pool';
import { LRUCache } from 'lru-cache';

/** A device's last seen is written this often at most: its retention is counted in days. */
const SEEN_EACH_MS = 6 * 3600 * 1000;
const TOUCHES_AT_ONCE = 4;
const MAX_SEEN_DEVICES = 200_000;
const MAX_WAITING_DEVICES = 50_000;

/**
 * When a device was last there, in its durable row: whoever connects, leaves or acks is seen. A rebuild knows nothing else, and would let
 * go of what a device that had nothing to ack for its retention is owed. Nobody waits for it: what fails is tried again with what comes next.
 */
export class SeenDevices {
  readonly #client: DynamoDBClient;
  readonly #logger: Logger;
  readonly #written = new LRUCache<string, true>({ max: MAX_SEEN_DEVICES, ttl: SEEN_EACH_MS });
  readonly #waiting = new Map<string, { user: string; device: string }>();
  #writing: Promise<void> | undefined;

  constructor(client: DynamoDBClient, logger: Logger) {
    this.#client = client;
    this.#logger = logger;
  }

  saw(user: string, device: string): void {
    const key = keyOf(user, device);
    if (this.#written.has(key) || this.#waiting.size >= MAX_WAITING_DEVICES) return;
    this.#waiting.set(key, { user, device });
    this.#writing ??= this.#write();
  }

  /** Somebody else has just written it. */
  wrote(user: string, device: string): void {
    this.#written.set(keyOf(user, device), true);
  }

  /** Once what waits is written. */
  async stop(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.size > 0) {
      const some = [...this.#waiting];
      this.#waiting.clear();
      await pool(some, TOUCHES_AT_ONCE, ([key, { user, device }]) => this.#touch(key, user, device));
    }
    this.#writing = undefined;
  }

  async #touch(key: string, user: string, device: string): Promise<void> {
    try {
      await touchDevice(this.#client, user, device, Date.now());
      this.#written.set(key, true);
    } catch (error) {
      this.#logger.warn({ user, device, err: messageOf(error) }, 'when the device was seen could not be written');
    }
  }
}

const keyOf = (user: string, device: string): string => `${user} ${device}`;
