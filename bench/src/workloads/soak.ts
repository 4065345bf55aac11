import { type CpuFigures, startCpuMeter } from '../cpu-meter.ts';
import type { Driver } from '../driver.ts';
import { coursesOf, type Sample } from '../flatness.ts';
import { diskBytes, rssBytes, sleep } from '../processes.ts';
import { Recorder } from '../recorder.ts';
import type { ServerHost } from '../server-host.ts';
import { median, round } from '../statistics.ts';
import { ComeAndGo } from './come-and-go.ts';
import { connectAll, disconnectAll, drain, openLoop, recipientOf, redelivered, untilAcked, userIds } from './steps.ts';
import { numberOf, type Params, type Workload } from './workload.ts';

/** How often the levels of a window are looked at, of which it tells the mean: they go up and down as users come and go. */
const LEVEL_MS = 200;
const QUANTILES = { p50Ms: 0.5, p99Ms: 0.99 };
const RETURN_QUANTILES = { return50Ms: 0.5 };

type Watched = { driver: Driver; host: ServerHost; recorder: Recorder; visits: ComeAndGo; startedAt: number };
type Seen = { series: Sample[]; cpu: CpuFigures };

export const soakSeconds = (params: Params): number => numberOf(params, 'minutes', 30) * 60;

/** Soak: a steady rate, an open loop, for long, while some users are away by turns. Does anything grow? */
export const soak: Workload = async (driver, host, params, progress) => {
  // It keeps a byte a message: a few MiB.
  const recorder = new Recorder();
  const users = userIds('u', numberOf(params, 'users', 200));
  // 60 % of the 2,600 that W2 gave.
  const rate = numberOf(params, 'rate', 1_560);
  const visits = new ComeAndGo(driver, recorder, users);
  await connectAll(driver, recorder, users);
  progress(`${rate} msg/s for ${soakSeconds(params) / 60} minutes`);
  const watched = { driver, host, recorder, visits, startedAt: performance.now() };
  const traffic = async () => {
    const { answered } = await openLoop(rate, Math.floor(rate * soakSeconds(params)), async (nth) => {
      await recorder.send(driver, recipientOf(users, nth));
    });
    visits.end();
    await answered();
  };
  const [{ series, cpu }] = await Promise.all([
    sampleAll(watched, params, progress),
    traffic(),
    visits.run(numberOf(params, 'away', 10), numberOf(params, 'awaySeconds', 5) * 1000),
  ]);
  await drain(recorder, 4_000, 40_000);
  await untilAcked(driver, users);
  await disconnectAll(driver, users);
  const again = await redelivered(driver, recorder, users);
  return {
    figures: {
      ...figuresOf(series),
      connectErrors: visits.connectErrors,
      undrained: visits.undrained,
      redelivered: again,
    },
    cpu,
    counters: recorder.counters(),
    series,
  };
};

/** A sample a window, from the end of warming on. */
async function sampleAll(watched: Watched, params: Params, progress: (line: string) => void): Promise<Seen> {
  const { recorder, visits, startedAt } = watched;
  const warmSeconds = numberOf(params, 'warmSeconds', 120);
  const sampleSeconds = numberOf(params, 'sampleSeconds', 30);
  await sleep(startedAt + warmSeconds * 1000 - performance.now());
  visits.live.take(QUANTILES);
  visits.returns.take(RETURN_QUANTILES);
  const meter = startCpuMeter(watched.host);
  const before = recorder.unique;
  const series: Sample[] = [];
  let shown = 0;
  for (let seconds = warmSeconds + sampleSeconds; seconds <= soakSeconds(params); seconds += sampleSeconds) {
    const sample = await sampleUntil(watched, seconds);
    series.push(sample);
    if (seconds - shown < 60) continue;
    shown = seconds;
    progress(progressLine(sample));
  }
  return { series, cpu: meter(recorder.unique - before) };
}

async function sampleUntil({ driver, host, recorder, visits, startedAt }: Watched, seconds: number): Promise<Sample> {
  const until = startedAt + seconds * 1000;
  const before = { unique: recorder.unique, at: performance.now() };
  const backlog: number[] = [];
  const unstored: number[] = [];
  for (let left = until - before.at; left > 0; left = until - performance.now()) {
    await sleep(Math.min(LEVEL_MS, left));
    backlog.push(recorder.accepted - recorder.unique);
    if (driver.stored !== undefined) unstored.push(recorder.accepted - driver.stored());
  }
  const perSecond = (recorder.unique - before.unique) / ((performance.now() - before.at) / 1000);
  return {
    minute: round(seconds / 60, 2),
    received: recorder.unique,
    stalled: visits.stalled(),
    deliveredPerSec: Math.round(perSecond),
    ...visits.live.take(QUANTILES),
    ...visits.returns.take(RETURN_QUANTILES),
    ...(backlog.length === 0 ? {} : { backlog: mean(backlog) }),
    ...(unstored.length === 0 ? {} : { unstored: mean(unstored) }),
    ...(await residentBytes(host)),
    diskBytes: diskBytes(host.folder),
    ...(await driver.storeBytes?.()),
  };
}

const mean = (levels: readonly number[]): number =>
  round(levels.reduce((sum, level) => sum + level, 0) / levels.length);

/** @throws Error where a process has ended: without it, what is left would be flat. */
async function residentBytes(host: ServerHost): Promise<Sample> {
  const sample: Sample = { 'rss.harness.harness': process.memoryUsage.rss() };
  for (const { name, group, pid } of host.measured()) {
    const bytes = rssBytes([pid]);
    if (bytes === 0) throw new Error(`${name} (pid ${pid}) ended during the soak`);
    sample[`rss.${group}.${name}`] = bytes;
    // Each looks through /proc: what comes in meanwhile is not to wait for all of them.
    await new Promise(setImmediate);
  }
  return sample;
}

function figuresOf(series: readonly Sample[]): Record<string, number> {
  const [first, last] = [series[0] ?? {}, series.at(-1) ?? {}];
  const figures: Record<string, number> = {
    minutes: last.minute ?? 0,
    stalled: Math.max(0, ...series.map(({ stalled }) => stalled ?? 0)),
  };
  for (const name of ['deliveredPerSec', 'p50Ms', 'p99Ms', 'return50Ms']) {
    const values = series.map((sample) => sample[name]).filter((value) => value !== undefined);
    if (values.length > 0) figures[name] = round(median(values), 2);
  }
  const messages = (last.received ?? 0) - (first.received ?? 0);
  // What grows by its nature: claims are kept for days, log and history on disk for longer.
  for (const name of ['claimBytes', 'diskBytes']) {
    const [from, to] = [first[name], last[name]];
    if (from !== undefined && to !== undefined && messages > 0)
      figures[`${name}PerMessage`] = round((to - from) / messages);
  }
  figures.growing = coursesOf(series).filter(({ flat }) => !flat).length;
  return figures;
}

function progressLine({ minute, deliveredPerSec, p50Ms, p99Ms, backlog, unstored, stalled }: Sample): string {
  return `minute ${minute}: ${deliveredPerSec} delivered/s, p50 ${p50Ms} ms, p99 ${p99Ms} ms, ${backlog} not delivered, ${unstored ?? '?'} not stored, ${stalled} users stalled`;
}
