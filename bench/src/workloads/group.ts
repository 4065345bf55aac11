import { pool } from '@restante/shared/runtime/pool';
import { rssBytes, sleep } from '../processes.ts';
import { Recorder } from '../recorder.ts';
import { median, round, sorted } from '../statistics.ts';
import { userIds } from './steps.ts';
import { numberOf, type Workload } from './workload.ts';

const MIB = 2 ** 20;
const SETTLE_MS = 2_000;

/** W7: messages to a group most of which is away: until the last inbox has each, until the last who is connected does, and memory. */
export const group: Workload = async (driver, host, params) => {
  if (!driver.group) throw new Error(`${driver.name} has no groups to measure`);
  const recorder = new Recorder();
  // One more is who sends.
  const members = userIds('g', numberOf(params, 'members', 1_000) - 1);
  const online = members.slice(0, numberOf(params, 'online', 100));
  const messages = numberOf(params, 'messages', 100);
  await driver.group.make(members);
  let arrived = 0;
  let allArrived = () => {};
  await pool(online, 20, (id) =>
    driver.connectUser(id, () => {
      if (++arrived % online.length === 0) allArrived();
    }),
  );
  await sleep(SETTLE_MS);
  const filled: number[] = [];
  const live: number[] = [];
  const one = async () => {
    const startedAt = performance.now();
    const arrivedAll = new Promise<void>((resolve) => {
      allArrived = resolve;
    });
    const full = driver.group!.send('x'.repeat(300)).then(() => filled.push(performance.now() - startedAt));
    await arrivedAll.then(() => live.push(performance.now() - startedAt));
    await full;
  };
  // What heaps grow to under this, they grow to in as many before: what they grow by after that is what would never end.
  for (let i = 0; i < messages; i++) await one();
  const before = rssBytes(host.pids('ours'));
  for (let i = 0; i < messages; i++) await one();
  await sleep(SETTLE_MS);
  const after = rssBytes(host.pids('ours'));
  const measured = sorted(filled.slice(-messages));
  return {
    figures: {
      members: members.length + 1,
      away: members.length - online.length,
      filledMs: round(median([...measured])),
      filledMaxMs: round(measured.at(-1) ?? Number.NaN),
      liveMs: round(median(live.slice(-messages))),
      rssMiB: round(after / MIB),
      grownMiB: round((after - before) / MIB),
    },
    counters: recorder.counters(),
    note: 'filled: asked of the store, each few ms',
  };
};
