import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { sleep } from '@restante/shared/runtime/sleep';
import { Random } from '../model/random.ts';
import { call } from '../support/http.ts';
import { Device } from './device.ts';
import type { History, Recorder } from './history.ts';
import type { Strike } from './nemeses/nemesis.ts';
import type { Plan, PlannedFault, Step } from './plan.ts';
import { Sender } from './sender.ts';
import { Stores } from './stores.ts';
import type { System } from './system.ts';

const SETUP_WITHIN_MS = 30_000;
/** With everything healed, what has not come to rest after this long never will. */
const QUIET_WITHIN_MS = 120_000;
const LOOK_EACH_MS = 500;
const SAMPLE_EACH_MS = 2_000;
const TELL_EACH_MS = 10_000;
/** Without a look inside, at rest is when nothing new has come for so long. */
const STILL_MS = 5_000;

export type Deployment = {
  urls: readonly string[];
  token: (user: string) => Promise<string>;
  /** Only of a system that the run has started itself. */
  system: System | undefined;
};

/** A nemesis and what it hurts. */
export type BoundNemesis = { name: string; strike: (strike: Omit<Strike, 'system'>) => Promise<void> };

export type RunOptions = {
  plan: Plan;
  seed: number;
  minutes: number;
  nemeses: readonly BoundNemesis[];
  /** No fault was asked for: that none is no failure then. */
  unhurt: boolean;
  deployment: Deployment;
  history: History;
  /** How long it may take until all is at rest. */
  quietMs?: number;
  say: (line: string) => void;
};

type People = { devices: Map<string, Device>; senders: Map<string, Sender>; random: Random };

/** Work under faults, then quiet, then a look at what is left. What comes of it is in the history. */
export async function run({
  plan,
  seed,
  minutes,
  nemeses,
  unhurt,
  deployment,
  history,
  quietMs,
  say,
}: RunOptions): Promise<void> {
  const { record } = history;
  const { system } = deployment;
  const { users, groups } = plan;
  const names = nemeses.map(({ name }) => name);
  record({ t: 'run', seed, minutes, nemeses: names, unhurt, users, groups, inside: system !== undefined });
  const tokens = new Map(
    await Promise.all(users.map(async ({ user }) => [user, await deployment.token(user)] as const)),
  );
  await makeGroups(plan, deployment, tokens);
  const progress = { heardAt: Date.now(), frames: 0 };
  const people = gather(plan, seed, deployment, tokens, (event) => {
    if (event.t === 'frame') {
      progress.frames++;
      progress.heardAt = Date.now();
    }
    record(event);
  });
  const stopWatching = system ? watchMemory(system, record) : () => undefined;
  const began = Date.now();
  const ended = new AbortController();
  // Each fault waits by it.
  setMaxListeners(0, ended.signal);
  const faults = strikeAll(plan.faults, { nemeses, record, signal: ended.signal, began });
  const teller = setInterval(() => {
    const seconds = Math.round((Date.now() - began) / 1000);
    say(`${seconds} s: ${progress.frames} frames came, ${waiting(people)} sends wait for an answer`);
  }, TELL_EACH_MS);
  try {
    await follow(plan.steps, people, deployment, tokens, began, record);
    ended.abort();
    await faults;
    record({ t: 'quiet', what: 'begins', detail: '' });
    say('quiet: everything is healed, everybody connects');
    const stillMs = () => Date.now() - progress.heardAt;
    await settle(plan, people, deployment, { stillMs, quietMs: quietMs ?? QUIET_WITHIN_MS, record });
    if (system) await lookInside(plan, system, record);
  } finally {
    clearInterval(teller);
    stopWatching();
    ended.abort();
    for (const sender of people.senders.values()) sender.end();
    await Promise.all([...people.devices.values()].map((device) => device.end()));
    await faults;
  }
}

function gather(
  plan: Plan,
  seed: number,
  { urls }: Deployment,
  tokens: ReadonlyMap<string, string>,
  record: Recorder,
): People {
  const random = new Random(seed + 1);
  const devices = new Map<string, Device>();
  const senders = new Map<string, Sender>();
  for (const { user, devices: names } of plan.users) {
    const token = tokens.get(user)!;
    const own: Device[] = [];
    for (const device of names) {
      const one = new Device({
        ...{ user, device, token, urls, random, record },
        after: own[0]?.known,
        onFrame: (frame) => senders.get(user)!.onFrame(frame),
      });
      own.push(one);
      devices.set(`${user}/${device}`, one);
    }
    senders.set(user, new Sender(user, token, urls, own, record));
  }
  return { devices, senders, random };
}

/** Before anything is hurt: everybody must know what there is to send to. */
async function makeGroups({ groups }: Plan, { urls }: Deployment, tokens: ReadonlyMap<string, string>): Promise<void> {
  for (const { conversation, owner, members } of groups) {
    const body = { id: conversation, members: members.filter((user) => user !== owner) };
    const reply = await call(urls[0]!, '/v1/conversations', {
      token: tokens.get(owner)!,
      body,
      timeoutMs: SETUP_WITHIN_MS,
    });
    if (reply.status !== 201) throw new Error(`${conversation} could not be made: ${reply.status} ${reply.text}`);
  }
}

async function follow(
  steps: readonly Step[],
  { devices, senders }: People,
  { urls }: Deployment,
  tokens: ReadonlyMap<string, string>,
  began: number,
  record: Recorder,
): Promise<void> {
  for (const step of steps) {
    const waitMs = began + step.atMs - Date.now();
    if (waitMs > 0) await sleep(waitMs);
    const sender = senders.get(step.user)!;
    const device = 'device' in step ? devices.get(`${step.user}/${step.device}`)! : undefined;
    switch (step.do) {
      case 'connect':
        device!.connect(step);
        break;
      case 'leave':
        device!.leave(step.how);
        break;
      case 'send':
        sender.send(step.message, step);
        break;
      case 'repeat':
        sender.repeat(step.id, step.body, step);
        break;
      case 'delete':
        sender.delete(step.id, step.of);
        break;
      case 'change-members': {
        const { user, conversation, change, gateway } = step;
        record({ t: 'change-members', from: user, conversation, ...change });
        const path = `/v1/conversations/${encodeURIComponent(conversation)}/members`;
        // Whether it came to anything, the log says.
        void call(urls[gateway % urls.length]!, path, { token: tokens.get(user)!, body: change }).catch(
          () => undefined,
        );
        break;
      }
      case 'sync':
        device!.sync(step);
        break;
      case 'nack':
        device!.nackNext();
        break;
      case 'ack-oddly':
        device!.ackOddly(step.how);
        break;
      case 'stop-reading':
        device!.stopReading(step.forMs);
        break;
    }
  }
}

type Striking = {
  nemeses: readonly BoundNemesis[];
  record: Recorder;
  signal: AbortSignal;
  began: number;
};

/** Each at its time, whatever the others do. @returns when all is healed */
async function strikeAll(planned: readonly PlannedFault[], { nemeses, record, signal, began }: Striking) {
  await Promise.all(
    planned.map(async ({ atMs, nemesis: name, seed }) => {
      const nemesis = nemeses.find((one) => one.name === name)!;
      await sleep(began + atMs - Date.now(), signal);
      // One that has not struck yet strikes now: the quiet waits for it.
      const tell = (what: 'begins' | 'happened' | 'ends' | 'failed', detail: string) =>
        record({ t: 'fault', nemesis: name, what, detail });
      tell('begins', '');
      try {
        const happened = (detail: string) => tell('happened', detail);
        await nemesis.strike({ random: new Random(seed), signal, happened });
        tell('ends', '');
      } catch (error) {
        tell('failed', error instanceof Error ? error.message : String(error));
      }
    }),
  );
}

const waiting = ({ senders }: People): number => [...senders.values()].reduce((sum, one) => sum + one.unanswered, 0);

/** Everybody connects and acks, until nothing waits and nothing comes any more. */
async function settle(
  plan: Plan,
  people: People,
  { system, urls }: Deployment,
  { stillMs, quietMs, record }: { stillMs: () => number; quietMs: number; record: Recorder },
): Promise<void> {
  for (const device of people.devices.values())
    device.connect({ gateway: people.random.integer(0, urls.length - 1), acks: 'each' });
  const end = Date.now() + quietMs;
  const stores = system ? await Stores.open(system) : undefined;
  const users = plan.users.map(({ user }) => user);
  try {
    for (;;) {
      const why =
        (await unsettled(people, stores, users)) ?? (stores || stillMs() > STILL_MS ? undefined : 'frames come');
      if (why === undefined) return record({ t: 'quiet', what: 'settled', detail: '' });
      if (Date.now() > end) return record({ t: 'quiet', what: 'gives up', detail: why });
      await sleep(LOOK_EACH_MS);
    }
  } finally {
    await stores?.close();
  }
}

async function unsettled(people: People, stores: Stores | undefined, users: string[]): Promise<string | undefined> {
  const unanswered = waiting(people);
  if (unanswered > 0) return `${unanswered} sends wait for an answer`;
  for (const [name, device] of people.devices) if (!device.drained) return `${name} is not drained`;
  try {
    return await stores?.unsettled(users);
  } catch (error) {
    return `the stores could not be looked at: ${error instanceof Error ? error.message : error}`;
  }
}

async function lookInside(plan: Plan, system: System, record: Recorder): Promise<void> {
  const stores = await Stores.open(system);
  try {
    await stores.record(
      plan.users.map(({ user }) => user),
      record,
    );
  } finally {
    await stores.close();
  }
}

/** @returns to be called to end it */
function watchMemory(system: System, record: Recorder): () => void {
  const timer = setInterval(() => {
    const { gateways, services } = system.stack.run;
    for (const { name, pid } of [...gateways, ...services]) {
      const mb = residentMb(pid);
      if (mb !== undefined) record({ t: 'memory', process: name, mb });
    }
  }, SAMPLE_EACH_MS);
  return () => clearInterval(timer);
}

/** Of Linux; elsewhere nothing is said. */
function residentMb(pid: number): number | undefined {
  try {
    const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kb === undefined ? undefined : Math.round(Number(kb) / 1024);
  } catch {
    return undefined;
  }
}
