import { type CpuFigures, startCpuMeter } from '../cpu-meter.ts';
import { Recorder } from '../recorder.ts';
import { quantile, round, sorted } from '../statistics.ts';
import { connectAll, disconnectAll, drain, openLoop, recipientOf, userIds } from './steps.ts';
import { numberOf, type Workload } from './workload.ts';

/** W1: users online, an open loop at a steady rate: the sender doesn't wait for acceptance. */
export const liveLatency: Workload = async (driver, host, params) => {
  const recorder = new Recorder();
  const users = userIds('u', numberOf(params, 'users', 200));
  const rate = numberOf(params, 'rate', 200);
  const seconds = numberOf(params, 'seconds', 20);
  const warmSeconds = numberOf(params, 'warmSeconds', 30);
  await connectAll(driver, recorder, users);
  const latencies: number[] = [];
  const acceptances: number[] = [];
  const lags: number[] = [];
  const startedAt = performance.now();
  const measureFrom = startedAt + warmSeconds * 1000;
  recorder.onEach = (sentAt, now) => {
    if (sentAt >= measureFrom) latencies.push(now - sentAt);
  };
  const total = rate * (seconds + warmSeconds);
  let meter: ((messages: number) => CpuFigures) | undefined;
  const { answered } = await openLoop(rate, total, async (nth, due, now) => {
    if (now >= measureFrom) meter ??= startCpuMeter(host);
    const measured = meter !== undefined;
    if (measured) lags.push(now - due);
    await recorder.send(driver, recipientOf(users, nth));
    if (measured) acceptances.push(performance.now() - now);
  });
  const cpu = meter?.(lags.length);
  await answered();
  await drain(recorder, numberOf(params, 'quietMs', 3_000));
  await disconnectAll(driver, users);
  const [live, accepted, late] = [sorted(latencies), sorted(acceptances), sorted(lags)];
  return {
    figures: {
      p50Ms: round(quantile(live, 0.5), 2),
      p95Ms: round(quantile(live, 0.95), 2),
      p99Ms: round(quantile(live, 0.99), 2),
      maxMs: round(quantile(live, 1)),
      accepted50Ms: round(quantile(accepted, 0.5), 2),
      accepted99Ms: round(quantile(accepted, 0.99), 2),
      senderLag99Ms: round(quantile(late, 0.99), 2),
      samples: live.length,
    },
    ...(cpu === undefined ? {} : { cpu }),
    counters: recorder.counters(),
  };
};
