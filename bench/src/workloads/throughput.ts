import { startCpuMeter } from '../cpu-meter.ts';
import { sleep } from '../processes.ts';
import { Recorder } from '../recorder.ts';
import { connectAll, disconnectAll, drain, IN_FLIGHT, redelivered, untilAcked, userIds } from './steps.ts';
import { numberOf, type Workload } from './workload.ts';

/** W2: what is sustained with senders pipelined: a closed loop with at most 256 unaccepted. */
export const throughput: Workload = async (driver, host, params) => {
  const recorder = new Recorder();
  const users = userIds('u', numberOf(params, 'users', 50));
  const seconds = numberOf(params, 'seconds', 25);
  const warmSeconds = numberOf(params, 'warmSeconds', 10);
  await connectAll(driver, recorder, users);
  let stop = false;
  let next = 0;
  const lane = async () => {
    while (!stop) if (!(await recorder.send(driver, users[next++ % users.length] as string))) await sleep(5);
  };
  const lanes = Array.from({ length: IN_FLIGHT }, lane);
  await sleep(warmSeconds * 1000);
  const before = {
    unique: recorder.unique,
    accepted: recorder.accepted,
    stored: driver.stored?.(),
    at: performance.now(),
  };
  const meter = startCpuMeter(host);
  await sleep((seconds - warmSeconds) * 1000);
  const took = (performance.now() - before.at) / 1000;
  const delivered = recorder.unique - before.unique;
  const figures: Record<string, number> = {
    deliveredPerSec: Math.round(delivered / took),
    acceptedPerSec: Math.round((recorder.accepted - before.accepted) / took),
    backlogAtEnd: recorder.accepted - recorder.unique,
  };
  const stored = driver.stored?.();
  if (stored !== undefined && before.stored !== undefined)
    figures.storedPerSec = Math.round((stored - before.stored) / took);
  const cpu = meter(delivered);
  stop = true;
  await Promise.race([Promise.all(lanes), sleep(15_000)]);
  await drain(recorder, 4_000, 40_000);
  await untilAcked(driver, users);
  await disconnectAll(driver, users);
  figures.redelivered = await redelivered(driver, recorder, users);
  return { figures, cpu, counters: recorder.counters() };
};
