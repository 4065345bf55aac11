import { sleep } from '@restante/shared/runtime/sleep';
import { WebSocket } from 'ws';
import type { Random } from '../model/random.ts';
import { connectUrl } from '../support/client.ts';
import { type EntryFrame, type Frame, isEntry } from '../support/frames.ts';
import { call } from '../support/http.ts';
import type { Recorder } from './history.ts';
import type { AckHabit, Step } from './plan.ts';

const HANDSHAKE_MS = 5_000;
const CALL_MS = 8_000;
const PING_EACH_MS = 2_000;
/** Longer than the server takes to find its own end dead. */
const SILENT_MS = 12_000;
const RETRY_MS: [number, number] = [50, 600];
const ACK_AFTER_MS: Readonly<Record<AckHabit, number | undefined>> = {
  each: 0,
  gathered: 60,
  late: 1_500,
  never: undefined,
};
const FAR_FUTURE = 1_000_000;
const SYNC_ENTRIES = 50;

export type DeviceOptions = {
  user: string;
  device: string;
  token: string;
  urls: readonly string[];
  random: Random;
  record: Recorder;
  /** Awaited before it first comes: a user's first device is the one that gets what was sent before any. */
  after: Promise<unknown> | undefined;
  onFrame: (frame: Frame, device: Device) => void;
};

type Open = {
  socket: WebSocket;
  name: string;
  gen: number;
  last: number;
  heardAt: number;
  welcomed: boolean;
  drained: boolean;
  ackTimer?: NodeJS.Timeout;
  reconnectAfterMs?: number;
};

let sockets = 0;

/** One device of a user, as an app is: it comes back by itself while it is meant to be connected, and acks by its habit. */
export class Device {
  readonly user: string;
  readonly device: string;
  /** Resolves with its first welcome. */
  readonly known: Promise<void>;
  #onKnown: () => void = () => {};
  readonly #options: DeviceOptions;
  #open: Open | undefined;
  #habit: AckHabit = 'each';
  #wanted = false;
  #gateway = 0;
  #running = false;
  #nackNext = false;
  #busy: Promise<void> = Promise.resolve();
  readonly #ended = new AbortController();

  constructor(options: DeviceOptions) {
    this.user = options.user;
    this.device = options.device;
    this.#options = options;
    this.known = new Promise((resolve) => {
      this.#onKnown = resolve;
    });
  }

  /** The name of its socket, where it has one that was welcomed. */
  get socket(): string | undefined {
    return this.#open?.welcomed ? this.#open.name : undefined;
  }

  /** Connected, with all that it missed, and all of that acked as far as it knows. */
  get drained(): boolean {
    return this.#open?.drained ?? false;
  }

  send(frame: { [field: string]: unknown }): boolean {
    const { socket } = this.#open ?? {};
    if (socket?.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(frame));
    return true;
  }

  connect({ gateway, acks }: { gateway: number; acks: AckHabit }): void {
    this.#habit = acks;
    this.#gateway = gateway;
    this.#wanted = true;
    if (this.#open) this.#ackSoon(this.#open);
    if (!this.#running) void this.#run();
  }

  leave(how: 'close' | 'drop'): void {
    this.#wanted = false;
    const open = this.#open;
    if (!open) return;
    if (how === 'drop' || open.socket.readyState !== WebSocket.OPEN) return open.socket.terminate();
    this.#ack(open);
    open.socket.close(1000);
  }

  nackNext(): void {
    this.#nackNext = true;
  }

  ackOddly(how: Extract<Step, { do: 'ack-oddly' }>['how']): void {
    const open = this.#open;
    if (!open?.welcomed) return;
    if (how === 'twice') {
      this.#ack(open);
      this.#ack(open);
    } else if (how === 'future') this.send({ t: 'ack', seq: open.last + FAR_FUTURE, gen: open.gen });
    else this.send({ t: 'ack', seq: open.last, gen: open.gen + 1 });
  }

  stopReading(forMs: number): void {
    const { socket } = this.#open ?? {};
    if (socket?.readyState !== WebSocket.OPEN) return;
    socket.pause();
    setTimeout(() => socket.resume(), forMs);
  }

  /** Pulls a page, as a client does that a push woke; only where it has no socket. */
  sync({ gateway, ack }: { gateway: number; ack: 'seq' | 'ids' | 'none' }): void {
    if (this.#wanted || this.#running) return;
    this.#busy = this.#busy.then(() => this.#sync(gateway, ack)).catch(() => undefined);
  }

  /** Ends it, for good. */
  async end(): Promise<void> {
    this.#ended.abort();
    this.leave('close');
    this.#open?.socket.terminate();
    await this.#busy;
  }

  async #run(): Promise<void> {
    const { after, random, urls } = this.#options;
    this.#running = true;
    await after;
    await this.#busy;
    while (this.#wanted && !this.#ended.signal.aborted) {
      const waitMs = await this.#connection(urls[this.#gateway % urls.length]!);
      if (!this.#wanted) break;
      this.#gateway = random.integer(0, urls.length - 1);
      await sleep(waitMs ?? random.integer(...RETRY_MS), this.#ended.signal);
    }
    this.#running = false;
  }

  /** One connection, from its opening to its end. @returns how long to wait before the next, where the server has said */
  #connection(url: string): Promise<number | undefined> {
    const { user, device, token, record } = this.#options;
    const name = `${user}/${device}/${++sockets}`;
    const socket = new WebSocket(connectUrl(url, device), ['restante.v1'], {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_MS,
    });
    const open: Open = { socket, name, gen: -1, last: 0, heardAt: Date.now(), welcomed: false, drained: false };
    this.#open = open;
    let reached = false;
    socket.on('open', () => {
      reached = true;
      record({ t: 'opened', socket: name, user, device, gateway: url });
      // It may have been left while it opened.
      if (!this.#wanted) socket.terminate();
    });
    socket.on('message', (data) => this.#take(open, data.toString()));
    socket.on('error', () => {});
    const pings = setInterval(() => {
      if (Date.now() - open.heardAt > SILENT_MS) socket.terminate();
      else if (socket.readyState === WebSocket.OPEN) socket.send('{"t":"ping"}');
    }, PING_EACH_MS);
    return new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        clearInterval(pings);
        clearTimeout(open.ackTimer);
        if (reached) record({ t: 'closed', socket: name, code, reason: reason.toString() });
        this.#open = undefined;
        resolve(open.reconnectAfterMs);
      });
    });
  }

  #take(open: Open, text: string): void {
    const { record, onFrame } = this.#options;
    open.heardAt = Date.now();
    const frame = parse(text);
    if (frame.t === 'pong') return;
    record({ t: 'frame', socket: open.name, frame });
    if (frame.t === 'welcome' || frame.t === 'reset') {
      open.gen = frame.gen as number;
      open.last = frame.acked as number;
      if (frame.t === 'welcome') {
        open.welcomed = true;
        this.#onKnown();
      }
    }
    if (frame.t === 'drained') open.drained = true;
    if (frame.t === 'bye') open.reconnectAfterMs = frame.reconnectAfterMs as number;
    if (isEntry(frame)) this.#entry(open, frame as unknown as EntryFrame);
    onFrame(frame, this);
  }

  #entry(open: Open, frame: EntryFrame): void {
    const { user, device, record } = this.#options;
    open.last = frame.seq;
    if (this.#nackNext && frame.t === 'message') {
      this.#nackNext = false;
      record({ t: 'skipped', user, device, gen: frame.gen, seq: frame.seq, how: 'nacked' });
      this.send({ t: 'nack', seq: frame.seq, gen: frame.gen, reason: 'it can not be shown' });
    }
    this.#ackSoon(open);
  }

  #ackSoon(open: Open): void {
    const afterMs = ACK_AFTER_MS[this.#habit];
    if (afterMs === undefined || open.ackTimer) return;
    open.ackTimer = setTimeout(() => {
      delete open.ackTimer;
      this.#ack(open);
    }, afterMs);
  }

  #ack(open: Open): void {
    const { user, device, record } = this.#options;
    if (!open.welcomed || open.socket.readyState !== WebSocket.OPEN) return;
    record({ t: 'acked', user, device, gen: open.gen, seq: open.last });
    this.send({ t: 'ack', seq: open.last, gen: open.gen });
  }

  async #sync(gateway: number, how: 'seq' | 'ids' | 'none'): Promise<void> {
    const { user, device, token, urls, record, after } = this.#options;
    await after;
    const url = urls[gateway % urls.length]!;
    const to = { token, timeoutMs: CALL_MS };
    const path = `/v1/messages/sync?device=${device}&limit=${SYNC_ENTRIES}`;
    const { status, json } = await call(url, path, to);
    if (status !== 200) return;
    const reply = json as { gen: number; acked: number; tail: number; entries: Frame[] };
    record({ t: 'synced', name: `${user}/${device}/sync${++sockets}`, user, device, reply });
    this.#onKnown();
    const last = reply.entries.at(-1)?.seq as number | undefined;
    if (how === 'none' || last === undefined) return;
    if (how === 'seq') {
      record({ t: 'acked', user, device, gen: reply.gen, seq: last });
      await call(url, '/v1/messages/ack', { ...to, body: { device, gen: reply.gen, seq: last } });
      return;
    }
    // Every other one: the holes close later.
    const some = reply.entries.filter((frame, index) => frame.t === 'message' && index % 2 === 0);
    for (const { seq } of some)
      record({ t: 'skipped', user, device, gen: reply.gen, seq: seq as number, how: 'acked' });
    const ids = some.map(({ from, id }) => ({ from, id }));
    await call(url, '/v1/messages/ack', { ...to, body: { device, ids } });
  }
}

function parse(text: string): Frame {
  try {
    return JSON.parse(text) as Frame;
  } catch {
    return { t: 'not JSON', text };
  }
}
