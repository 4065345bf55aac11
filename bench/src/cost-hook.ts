import { subscribe } from 'node:diagnostics_channel';
import { renameSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { GCProfiler } from 'node:v8';

/**
 * Loaded into a service by `--import`. Between two SIGUSR2 it counts what the service allocates on the heap of V8, its writes to the sockets of
 * Kafka (each is a request) and Redis (each is one command or a pipeline), and the HTTP requests that it makes, which are DynamoDB's; the
 * second signal leaves them in a file.
 */
export type ProcessCosts = { heapBytes: number; kafkaRequests: number; redisWrites: number; httpRequests: number };

const folder = process.env.BENCH_COST_DIR;
// Only services have a name.
const name = process.env.SERVICE_NAME;
if (folder !== undefined && name !== undefined) {
  const file = join(folder, `${name}.json`);
  const count = { kafkaRequests: 0, redisWrites: 0, httpRequests: 0 };
  countWrites(portsOf(process.env.KAFKA_BROKERS), () => count.kafkaRequests++);
  countWrites(portsOf(process.env.REDIS_URL), () => count.redisWrites++);
  subscribe('http.client.request.start', () => count.httpRequests++);
  let running: { profiler: GCProfiler; heapUsed: number; before: typeof count } | undefined;
  process.on('SIGUSR2', () => {
    if (running === undefined) {
      running = { profiler: new GCProfiler(), heapUsed: process.memoryUsage().heapUsed, before: { ...count } };
      running.profiler.start();
      return;
    }
    const { profiler, heapUsed, before } = running;
    running = undefined;
    const costs: ProcessCosts = {
      heapBytes: allocated(profiler, heapUsed),
      kafkaRequests: count.kafkaRequests - before.kafkaRequests,
      redisWrites: count.redisWrites - before.redisWrites,
      httpRequests: count.httpRequests - before.httpRequests,
    };
    writeFileSync(`${file}.part`, JSON.stringify(costs));
    renameSync(`${file}.part`, file);
  });
}

/** What the heap grew by between collections. */
function allocated(profiler: GCProfiler, heapUsed: number): number {
  let [sum, last] = [0, heapUsed];
  for (const { beforeGC, afterGC } of profiler.stop().statistics) {
    sum += beforeGC.heapStatistics.usedHeapSize - last;
    last = afterGC.heapStatistics.usedHeapSize;
  }
  return sum + process.memoryUsage().heapUsed - last;
}

function portsOf(addresses = ''): Set<number> {
  return new Set([...addresses.matchAll(/:(\d+)/g)].map(([, port]) => Number(port)));
}

function countWrites(ports: ReadonlySet<number>, onWrite: () => void): void {
  const { write } = Socket.prototype;
  Socket.prototype.write = function counted(this: Socket, ...args: Parameters<typeof write>) {
    if (ports.has(this.remotePort ?? 0)) onWrite();
    return write.apply(this, args);
  } as typeof write;
}
