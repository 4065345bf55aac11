import { group } from './group.ts';
import { liveLatency } from './live-latency.ts';
import { idleMemory, queuedMemory } from './memory.ts';
import { replay } from './replay.ts';
import { soak, soakSeconds } from './soak.ts';
import { storm } from './storm.ts';
import { throughput } from './throughput.ts';
import type { Params, Workload } from './workload.ts';

/** A workload as it is asked for by name: what it does, with what, and small, for `--quick`. */
type Named = {
  run: Workload;
  about: string;
  params: Params;
  quick: Params;
  /** How long it takes by its parameters, where that may be longer than any limit. */
  extraSeconds?: (params: Params) => number;
};

/** What 20,000 connections may take on a slow machine, and a message to each, and the wait for the last. */
const CONNECT_20K_SECONDS = 360;
const MESSAGE_TO_EACH_SECONDS = 300;

export const WORKLOADS: Record<string, Named> = {
  W1: {
    run: liveLatency,
    about: 'live latency: 200 connected, 200 msg/s',
    params: {},
    quick: { users: 20, seconds: 3, warmSeconds: 1 },
  },
  W2: {
    run: throughput,
    about: 'sustained throughput: 50 receivers, 256 sends unaccepted at most',
    params: {},
    quick: { seconds: 4, warmSeconds: 1 },
  },
  W3: {
    run: replay,
    about: 'one user returns to 50, 5,000 and 50,000 queued',
    params: {},
    quick: { sizes: [50, 1_000], returns: 2 },
  },
  W4: {
    run: storm,
    about: '1,000 users with 20 queued each return at once',
    params: {},
    quick: { users: 100, concurrency: 50 },
  },
  W5a: { run: idleMemory, about: 'memory per idle connection, 5,000', params: {}, quick: { connections: 300 } },
  W5a20k: {
    run: idleMemory,
    about: 'memory per idle connection, 20,000',
    params: { connections: 20_000, connectMs: CONNECT_20K_SECONDS * 1000 },
    quick: { connections: 600 },
    extraSeconds: () => CONNECT_20K_SECONDS + MESSAGE_TO_EACH_SECONDS,
  },
  W5b: {
    run: queuedMemory,
    about: 'memory per queued 300-byte message that does not compress',
    params: {},
    quick: { users: 10, each: 200, settleMs: 1_000 },
  },
  W5c: {
    run: queuedMemory,
    about: 'memory per queued 300-byte message of natural text',
    params: { padding: 'natural' },
    quick: { padding: 'natural', users: 10, each: 200, settleMs: 1_000 },
  },
  W7: {
    run: group,
    about: 'a group of 1,000, 900 of them away: until every inbox has a message, and memory',
    params: {},
    quick: { members: 100, online: 10, messages: 10 },
  },
  soak: {
    run: soak,
    about: '200 users, 10 of them away by turns, 1,560 msg/s for 30 minutes: does anything grow',
    params: {},
    quick: { users: 20, away: 2, awaySeconds: 1, rate: 50, minutes: 0.25, warmSeconds: 3, sampleSeconds: 2 },
    extraSeconds: soakSeconds,
  },
};

/** Short names for several. */
const FAMILIES: Record<string, string[]> = { W5: ['W5a', 'W5a20k', 'W5b', 'W5c'] };

/** @throws Error that names an unknown workload. */
export function workloadNames(list: readonly string[]): string[] {
  return list.flatMap((name) => {
    const names = FAMILIES[name] ?? [name];
    for (const one of names)
      if (WORKLOADS[one] === undefined)
        throw new Error(`no workload ${one}; there are ${Object.keys(WORKLOADS).join(', ')} and W6`);
    return names;
  });
}
