import { pool } from '@restante/shared/runtime/pool';
import type { Driver } from '../driver.ts';
import { sleep } from '../processes.ts';
import type { Recorder } from '../recorder.ts';

/** Sends that are unaccepted at most. */
export const IN_FLIGHT = 256;

export const userIds = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

export const connectAll = (driver: Driver, recorder: Recorder, users: readonly string[]): Promise<void> =>
  pool(users, 50, (id) => driver.connectUser(id, recorder.sink(id)));

export const disconnectAll = (driver: Driver, users: readonly string[]): Promise<void> =>
  pool(users, 100, (id) => driver.disconnectUser(id));

/** Makes the users' inboxes exist and leaves them offline. */
export async function provision(driver: Driver, recorder: Recorder, users: readonly string[]): Promise<void> {
  await pool(users, 50, async (id) => {
    if (driver.provision !== undefined) return driver.provision(id);
    await driver.connectUser(id, recorder.sink(id));
    await driver.disconnectUser(id);
  });
}

/** Queues `each` messages for every user, interleaved over the users. @returns messages a second */
export async function queueFor(
  driver: Driver,
  recorder: Recorder,
  users: readonly string[],
  each: number,
  budgetMs = Number.POSITIVE_INFINITY,
): Promise<number> {
  const total = users.length * each;
  const startedAt = performance.now();
  let next = 0;
  const lane = async () => {
    while (next < total && performance.now() - startedAt < budgetMs)
      await recorder.send(driver, users[next++ % users.length] as string);
  };
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, total) }, lane));
  await driver.settled?.();
  return next / ((performance.now() - startedAt) / 1000);
}

/** Waits until all that was accepted is in, or nothing has come for `quietMs`. */
export async function drain(recorder: Recorder, quietMs = 3_000, maxMs = 25_000): Promise<void> {
  let seen = -1;
  let since = Date.now();
  for (const end = Date.now() + maxMs; Date.now() < end && recorder.unique < recorder.accepted; await sleep(20)) {
    if (recorder.unique !== seen) {
      seen = recorder.unique;
      since = Date.now();
    } else if (Date.now() - since > quietMs) break;
  }
}

/** Connects drained users again: whatever comes had been acknowledged, so each is a duplicate. @returns how many came */
export async function redelivered(driver: Driver, recorder: Recorder, users: readonly string[]): Promise<number> {
  const before = recorder.duplicated;
  await connectAll(driver, recorder, users);
  await sleep(500);
  await disconnectAll(driver, users);
  return recorder.duplicated - before;
}
