import { startCpuMeter } from '../cpu-meter.ts';
import { MemoryWatch } from '../memory-watch.ts';
import { sleep } from '../processes.ts';
import { Recorder } from '../recorder.ts';
import { median, round } from '../statistics.ts';
import { provision, queueFor, redelivered, userIds } from './steps.ts';
import { numberOf, type Workload } from './workload.ts';

const MIB = 2 ** 20;

/** How many users return to a backlog of a size: more where one takes less. */
const usersFor = (size: number): number => (size >= 20_000 ? 1 : size >= 1_000 ? 3 : 7);

/** Users that return to 50 messages each before anything is measured: V8 and the JVM compile until then. */
const WARM_USERS = 200;
const WARM_SIZE = 50;

/** W3: one user at a time returns to a backlog: from the start of connecting to the first, the last, and the last acked. */
export const replay: Workload = async (driver, host, params) => {
  const recorder = new Recorder();
  const sizes = Array.isArray(params.sizes) ? params.sizes : [50, 5_000, 50_000];
  const figures: Record<string, number> = {};
  let again = 0;
  let cpu: ReturnType<ReturnType<typeof startCpuMeter>> | undefined;
  const warm = userIds('w', numberOf(params, 'warmUsers', WARM_USERS));
  await provision(driver, recorder, warm);
  await queueFor(driver, recorder, warm, WARM_SIZE);
  for (const id of warm) await returnOne(id, WARM_SIZE, { first: [], last: [], acked: [] });
  for (const size of sizes) {
    const users = userIds(`r${size}x`, numberOf(params, 'returns', usersFor(size)));
    const times = { first: [] as number[], last: [] as number[], acked: [] as number[] };
    await provision(driver, recorder, users);
    figures[`n${size}.queuedPerSec`] = Math.round(await queueFor(driver, recorder, users, size));
    await sleep(500);
    const ourPids = host.pids('ours');
    const memory = new MemoryWatch(host.pids());
    const ourMemory = new MemoryWatch(ourPids);
    const meter = startCpuMeter(host);
    for (const id of users) await returnOne(id, size, times);
    cpu = meter(users.length * size);
    figures[`n${size}.rssGrowthMiB`] = round(memory.stop() / MIB);
    const ourGrowth = ourMemory.stop();
    if (ourPids.length > 0) figures[`n${size}.oursGrowthMiB`] = round(ourGrowth / MIB);
    await sleep(200);
    again += await redelivered(driver, recorder, users);
    for (const [name, values] of Object.entries(times)) figures[`n${size}.${name}Ms`] = round(median(values));
    figures[`n${size}.perSec`] = Math.round(size / (median(times.last) / 1000));
  }
  return {
    figures: { ...figures, redelivered: again },
    ...(cpu === undefined ? {} : { cpu }),
    counters: recorder.counters(),
  };

  async function returnOne(
    id: string,
    size: number,
    times: { first: number[]; last: number[]; acked: number[] },
  ): Promise<void> {
    const startedAt = performance.now();
    const all = recorder.expect(id, size, 20_000 + size);
    const connecting = driver.connectUser(id, recorder.sink(id));
    const came = await all;
    await connecting;
    const { first, last } = recorder.user(id);
    times.first.push(first - startedAt);
    times.last.push(last - startedAt);
    if (came && driver.ackBarrier !== undefined) {
      await driver.ackBarrier(id);
      times.acked.push(performance.now() - startedAt);
    } else if (came) times.acked.push(last - startedAt);
    await driver.disconnectUser(id);
  }
};
