import { Cluster, Redis } from 'ioredis';
import type { Stack } from './stack.ts';

/** The Redis of a stack, as its services see it: one, or a cluster. */
export function redisOf(stack: Stack): Redis | Cluster {
  const { url, cluster } = stack.run.engines.find(({ name }) => name === 'redis')!;
  const { hostname: host, port } = new URL(url);
  return cluster ? new Cluster([{ host, port: Number(port) }]) : new Redis(url);
}

/** As if the memory of each of its nodes were gone. */
export async function emptyRedis(stack: Stack): Promise<void> {
  const redis = redisOf(stack);
  try {
    await redis.ping();
    const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
    await Promise.all(nodes.map((node) => node.flushall()));
  } finally {
    redis.disconnect();
  }
}
