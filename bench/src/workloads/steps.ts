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

/** A loop that is late gives way to what comes in after so many sends. */
const SENDS_A_TURN = 64;
const ANSWER_MS = 10_000;

/**
 * An open loop: sends at a steady rate, whatever became of those before; `due` is when it should have sent.
 * @returns once all is sent; `answered` waits for the answers, for a while
 */
export async function openLoop(
  rate: number,
  total: number,
  send: (nth: number, due: number, now: number) => Promise<void>,
): Promise<{ answered: () => Promise<void> }> {
  const startedAt = performance.now();
  let pending = 0;
  for (let i = 0; i < total; i++) {
    const due = startedAt + (i * 1000) / rate;
    const wait = due - performance.now();
    // Timers are whole milliseconds; the rest of the wait lets the loop turn.
    if (wait > 1) await sleep(Math.floor(wait));
    else if (wait > 0 || i % SENDS_A_TURN === 0) await new Promise(setImmediate);
    pending++;
    void send(i, due, performance.now()).then(() => pending--);
  }
  return {
    async answered() {
      for (const end = Date.now() + ANSWER_MS; pending > 0 && Date.now() < end; ) await sleep(10);
    },
  };
}

/** One of the users for the nth message: each in turn, but not in their order. */
export const recipientOf = (users: readonly string[], nth: number): string =>
  users[(nth * 7_919) % users.length] as string;

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

/** Until the server has taken all acks, where the driver can tell. */
export async function untilAcked({ ackBarrier }: Driver, users: readonly string[]): Promise<void> {
  if (ackBarrier !== undefined) await pool(users, 50, (id) => ackBarrier(id));
}

/** Connects drained users again: whatever comes had been acknowledged, so each is a duplicate. @returns how many came */
export async function redelivered(driver: Driver, recorder: Recorder, users: readonly string[]): Promise<number> {
  const before = recorder.duplicated;
  await connectAll(driver, recorder, users);
  await sleep(500);
  await disconnectAll(driver, users);
  return recorder.duplicated - before;
}
