import { cpuSeconds } from './processes.ts';
import type { ServerHost } from './server-host.ts';
import { round } from './statistics.ts';

export type CpuFigures = {
  /** Cores that the servers, and this process, kept busy. */
  serverCores: number;
  harnessCores: number;
  /** CPU µs a message, user and system, of each process; `ours` is the sum of those that are not engines. */
  cpuMicros: Record<string, number>;
};

/** From now until the result is called. Ticks are 10 ms: over less than a second or so, this tells little. */
export function startCpuMeter(host: ServerHost): (messages: number) => CpuFigures {
  const startedAt = performance.now();
  const before = new Map(host.measured().map(({ pid }) => [pid, cpuSeconds([pid])]));
  const own = process.cpuUsage();
  host.costs?.begin(host.measured());
  return (messages) => {
    host.costs?.end(messages);
    const seconds = (performance.now() - startedAt) / 1000;
    const { user, system } = process.cpuUsage(own);
    const cpuMicros: Record<string, number> = {};
    let all = 0;
    let ours: number | undefined;
    for (const { name, group, pid } of host.measured()) {
      const used = cpuSeconds([pid]) - (before.get(pid) ?? 0);
      all += used;
      if (group === 'ours') ours = (ours ?? 0) + used;
      if (messages > 0) cpuMicros[name] = round((used * 1e6) / messages);
    }
    if (messages > 0) {
      if (ours !== undefined) cpuMicros.ours = round((ours * 1e6) / messages);
      cpuMicros.all = round((all * 1e6) / messages);
    }
    return { serverCores: round(all / seconds, 2), harnessCores: round((user + system) / 1e6 / seconds, 2), cpuMicros };
  };
}
