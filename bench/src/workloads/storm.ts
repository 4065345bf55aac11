import { pool } from '@restante/shared/runtime/pool';
import { startCpuMeter } from '../cpu-meter.ts';
import { sleep } from '../processes.ts';
import { Recorder } from '../recorder.ts';
import { quantile, round, sorted } from '../statistics.ts';
import { disconnectAll, provision, queueFor, redelivered, userIds } from './steps.ts';
import { numberOf, type Workload } from './workload.ts';

/** W4: everybody comes back at once. */
export const storm: Workload = async (driver, host, params) => {
  const recorder = new Recorder();
  const users = userIds('m', numberOf(params, 'users', 1_000));
  const each = numberOf(params, 'each', 20);
  await provision(driver, recorder, users);
  const queuedPerSec = await queueFor(driver, recorder, users, each);
  await sleep(500);
  const drained: number[] = [];
  const connected: number[] = [];
  const waits: Promise<void>[] = [];
  let connectErrors = 0;
  const meter = startCpuMeter(host);
  const startedAt = performance.now();
  await pool(users, numberOf(params, 'concurrency', 200), async (id) => {
    const began = performance.now();
    waits.push(
      recorder.expect(id, each, 60_000).then((came) => {
        if (came) drained.push(recorder.user(id).last - began);
      }),
    );
    try {
      await driver.connectUser(id, recorder.sink(id));
      connected.push(performance.now() - began);
    } catch (error) {
      connectErrors++;
      recorder.countError(error);
    }
  });
  await Promise.all(waits);
  const allMs = Math.max(recorder.lastOfAll() - startedAt, 0);
  const cpu = meter(users.length * each);
  await sleep(500);
  const { ackBarrier } = driver;
  if (ackBarrier !== undefined) await pool(users, 100, (id) => ackBarrier(id));
  await disconnectAll(driver, users);
  await sleep(200);
  const again = await redelivered(driver, recorder, users.slice(0, 100));
  const [drains, connects] = [sorted(drained), sorted(connected)];
  return {
    figures: {
      allMs: Math.round(allMs),
      perSec: Math.round((users.length * each) / (allMs / 1000)),
      drain50Ms: round(quantile(drains, 0.5)),
      drain99Ms: round(quantile(drains, 0.99)),
      connect50Ms: round(quantile(connects, 0.5)),
      connect99Ms: round(quantile(connects, 0.99)),
      drainedUsers: drains.length,
      connectErrors,
      queuedPerSec: Math.round(queuedPerSec),
      redelivered: again,
    },
    cpu,
    counters: recorder.counters(),
  };
};
