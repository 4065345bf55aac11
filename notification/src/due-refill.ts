import { type DynamoDBClient, ScanCommand, type ScanCommandInput } from '@aws-sdk/client-dynamodb';
import { dueAddCalls, dueShard, markWhole } from '@restante/shared/inbox/due-queue-redis';
import { messageOf } from '@restante/shared/runtime/errors';
import type { Logger } from '@restante/shared/runtime/logger';
import type { RedisStore } from '@restante/shared/runtime/redis';
import { sleep } from '@restante/shared/runtime/sleep';

const PAGE_DEVICES = 200;
const PAGE_PAUSE_MS = 50;
const LOCK_KEY = 'due:refilling';
const LOCK_MS = 30_000;
const RETRY_MS = 2_000;

/**
 * Fills the due queue again from `devices` after Redis lost it (decision 10): everybody who has a device is looked at, at a pace that the
 * rebuilds can follow. One process at a time does it; one that dies leaves the shards unmarked, and another begins again.
 */
export class DueRefill {
  readonly #dynamo: DynamoDBClient;
  readonly #store: RedisStore;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(dynamo: DynamoDBClient, store: RedisStore, logger: Logger) {
    this.#dynamo = dynamo;
    this.#store = store;
    this.#logger = logger;
  }

  /** Begins, unless it runs already. */
  fill(shards: readonly number[]): void {
    this.#running ??= this.#fill(new Set(shards)).finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #fill(shards: ReadonlySet<number>): Promise<void> {
    const { signal } = this.#stopping;
    try {
      if ((await this.#store.client.set(LOCK_KEY, String(process.pid), 'PX', LOCK_MS, 'NX')) !== 'OK') {
        await sleep(RETRY_MS, signal);
        return;
      }
      let users = 0;
      let from: ScanCommandInput['ExclusiveStartKey'];
      do {
        const { Items, LastEvaluatedKey } = await this.#dynamo.send(
          new ScanCommand({
            TableName: 'devices',
            ProjectionExpression: '#u',
            ExpressionAttributeNames: { '#u': 'user' },
            Limit: PAGE_DEVICES,
            ExclusiveStartKey: from,
          }),
        );
        const found = new Set(
          (Items ?? []).map((item) => item.user?.S ?? '').filter((user) => shards.has(dueShard(user))),
        );
        users += found.size;
        await this.#store.run(dueAddCalls([...found].map((user) => ({ user, atMs: Date.now() }))));
        await this.#store.client.pexpire(LOCK_KEY, LOCK_MS);
        from = LastEvaluatedKey;
        if (from) await sleep(PAGE_PAUSE_MS, signal);
      } while (from && !signal.aborted);
      if (signal.aborted) return;
      await markWhole(this.#store, [...shards]);
      await this.#store.client.del(LOCK_KEY);
      this.#logger.info({ users, shards: shards.size }, 'due queue filled from the devices');
    } catch (error) {
      this.#logger.warn({ err: messageOf(error) }, 'the due queue could not be filled: tried again');
      await sleep(RETRY_MS, signal);
    }
  }
}
