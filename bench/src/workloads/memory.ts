import { pool } from '@restante/shared/runtime/pool';
import { startCpuMeter } from '../cpu-meter.ts';
import { diskBytes, rssBytes, sleep } from '../processes.ts';
import { Recorder } from '../recorder.ts';
import type { ServerHost } from '../server-host.ts';
import { round } from '../statistics.ts';
import { drain, IN_FLIGHT, provision, queueFor, userIds } from './steps.ts';
import { numberOf, type Workload } from './workload.ts';

const MIB = 2 ** 20;
/** A connected user is idle once the work of connecting has settled. */
const SETTLE_MS = 4_000;
/** On a slow machine connections and messages come late, but they come: what has brought none for this long brings no more. */
const QUIET_MS = 30_000;
const CONNECT_MS = 150_000;
const HELD_MS = 240_000;

/** Memory of the servers, of ours alone, and of the gateways alone: only these hold connections. */
function memory(host: ServerHost): { all: number; ours: number; gateways: number } {
  const gateways = host.measured().filter(({ name }) => name.startsWith('gateway-'));
  return {
    all: rssBytes(host.pids()),
    ours: rssBytes(host.pids('ours')),
    gateways: rssBytes(gateways.map(({ pid }) => pid)),
  };
}

/** W5a: memory per idle connection; that they are held is shown by a message to each. */
export const idleMemory: Workload = async (driver, host, params) => {
  const recorder = new Recorder();
  const users = userIds('c', numberOf(params, 'connections', 5_000));
  const budgetMs = numberOf(params, 'connectMs', CONNECT_MS);
  // What the first hundred cost is code and buffers, not connections.
  await pool(userIds('warm', 100), 20, (id) => driver.connectUser(id, () => {}));
  await sleep(SETTLE_MS);
  const before = memory(host);
  const meter = startCpuMeter(host);
  const startedAt = performance.now();
  const connected: string[] = [];
  let failed = 0;
  let lastAt = startedAt;
  await pool(users, 100, async (id) => {
    const now = performance.now();
    if (now - startedAt > budgetMs || now - lastAt > QUIET_MS) return;
    try {
      await driver.connectUser(id, recorder.sink(id));
      connected.push(id);
      lastAt = performance.now();
    } catch (error) {
      failed++;
      recorder.countError(error);
    }
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = meter(connected.length);
  await sleep(SETTLE_MS);
  const after = memory(host);
  const perConnection = (now: number, then: number) => round((now - then) / 1024 / connected.length);
  await pool(connected, IN_FLIGHT, async (id) => {
    await recorder.send(driver, id);
  });
  await drain(recorder, QUIET_MS, HELD_MS);
  return {
    figures: {
      connected: connected.length,
      held: recorder.unique,
      failed,
      connectsPerSec: Math.round(connected.length / seconds),
      baseRssMiB: round(before.all / MIB),
      rssMiB: round(after.all / MIB),
      kibPerConnection: perConnection(after.all, before.all),
      ...(after.ours > 0
        ? {
            oursKibPerConnection: perConnection(after.ours, before.ours),
            gatewayKibPerConnection: perConnection(after.gateways, before.gateways),
          }
        : {}),
    },
    cpu,
    counters: recorder.counters(),
  };
};

/** W5b: memory and disk per queued message of an offline user. */
export const queuedMemory: Workload = async (driver, host, params) => {
  const recorder = new Recorder(params.padding === 'natural' ? 'natural' : 'random');
  const users = userIds('q', numberOf(params, 'users', 100));
  const each = numberOf(params, 'each', 1_000);
  await provision(driver, recorder, users);
  await sleep(2_000);
  const before = { rss: rssBytes(host.pids()), disk: diskBytes(host.folder), store: await driver.storeBytes?.() };
  const queuedPerSec = await queueFor(driver, recorder, users, each, numberOf(params, 'queueMs', 70_000));
  await sleep(numberOf(params, 'settleMs', 11_000));
  const queued = recorder.accepted;
  const store = await driver.storeBytes?.();
  const figures: Record<string, number> = {
    queued,
    queuedPerSec: Math.round(queuedPerSec),
    rssBytesPerMessage: Math.round((rssBytes(host.pids()) - before.rss) / queued),
    diskBytesPerMessage: Math.round((diskBytes(host.folder) - before.disk) / queued),
  };
  for (const [name, bytes] of Object.entries(store ?? {}))
    figures[`${name}PerMessage`] = Math.round((bytes - (before.store?.[name] ?? 0)) / queued);
  // One user comes for its messages, so that a queue that only seemed to hold them shows as lost.
  const id = users[0] as string;
  const held = recorder.user(id).sent;
  const came = recorder.expect(id, held, 20_000);
  await driver.connectUser(id, recorder.sink(id));
  await came;
  figures.readBack = recorder.user(id).unique;
  await driver.disconnectUser(id);
  return {
    figures,
    counters: { ...recorder.counters(), lost: held - figures.readBack },
    note: 'one of the users read back',
  };
};
