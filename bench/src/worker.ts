import { mkdirSync, writeFileSync } from 'node:fs';
import { CostMeter } from './cost-meter.ts';
import { DRIVERS } from './drivers/all.ts';
import { sleep } from './processes.ts';
import type { Result } from './result.ts';
import { ServerHost } from './server-host.ts';
import { WORKLOADS } from './workloads/all.ts';
import type { Params } from './workloads/workload.ts';

/** One workload against one system, in a process of its own: worker.js <job as JSON>. Writes its result to a file. */
export type Job = {
  system: string;
  workload: string;
  folder: string;
  resultFile: string;
  params: Params;
  env: Record<string, string>;
};

const STOP_MS = 15_000;
const job = JSON.parse(process.argv[2] as string) as Job;
const host = new ServerHost(job.folder);
const createDriver = await DRIVERS[job.system]?.();
const workload = WORKLOADS[job.workload];
if (createDriver === undefined || workload === undefined) throw new Error(`no such job: ${process.argv[2]}`);

let unhandled = 0;
// A client library that rejects a promise nobody holds must not hide the figures; it is told beside them.
process.on('unhandledRejection', (error) => {
  if (unhandled++ === 0) console.error(error);
});

const driver = createDriver(host, job.env);
const result: Result = { system: job.system, workload: job.workload, durability: driver.durability };
try {
  const startedAt = Date.now();
  await driver.start();
  result.startMs = Date.now() - startedAt;
  result.versions = await driver.versions();
  const { BENCH_COST_DIR: costs } = job.env;
  if (costs !== undefined && driver.engineCounts) {
    mkdirSync(costs, { recursive: true });
    host.costs = new CostMeter(costs, driver.engineCounts);
  }
  Object.assign(result, await workload.run(driver, host, job.params, (line) => process.send?.(line)));
  const counted = await host.costs?.costs();
  if (counted !== undefined) result.costs = counted;
} catch (error) {
  result.error = String((error as Error).stack ?? error).slice(0, 800);
}
if (unhandled > 0) result.unhandled = unhandled;
writeFileSync(job.resultFile, JSON.stringify(result));
await Promise.race([driver.stop().catch(() => {}), sleep(STOP_MS)]);
await host.stop();
process.exit(0);
