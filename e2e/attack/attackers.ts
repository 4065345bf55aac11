import { type End, RawSocket, textFrame } from './raw-socket.ts';

/**
 * How many there are of each kind: 11,500 that hold a connection, of which more than 10,000 stand at any time, as the slow ones are cut by the
 * thousand every four seconds; and 2,500 that are thrown out again and again.
 */
export const MIX = {
  slowloris: 5_500,
  silent: 4_500,
  idle: 1_500,
  badToken: 1_500,
  flood: 500,
  oversize: 500,
} as const;
export type Kind = keyof typeof MIX;
export const KINDS = Object.keys(MIX) as Kind[];
/** Each has devices of its own, so that none throws another out. */
export const DEVICES_EACH = 5;
/** Those who come with a good token. */
export const KINDS_WITH_TOKEN = ['idle', 'flood', 'oversize'] as const;
export type Order = { urls: string[]; tokens: string[]; scale: number };
export type Counts = {
  /** Connections that stand now: TCP's own, whether let in or not. */
  standing: Record<Kind, number>;
  attempts: Record<Kind, number>;
  /** Attackers that had no turn yet. */
  untried: number;
  /** How connections ended: by kind, then by end. */
  ends: Record<Kind, Record<string, number>>;
};

const TURN_MS = 50;
/** Opened in a turn at most: 2,000 a second, from one process beside what it attacks. */
const OPEN_PER_TURN = 100;
/** After it was thrown out or refused an attacker is back so soon; one that was cut for its silence, at once. */
const BACK_TURNS = 3_000 / TURN_MS;
const DRIP_TURNS = 2_000 / TURN_MS;
const FLOOD_FRAMES = 200;
/** What a flooder has written and the gateway not read; beyond it more would only fill the attacker's own memory. */
const FLOOD_UNREAD_BYTES = 256 * 1024;
/** As from so many machines: 127.0.1.1 and on. */
const ADDRESSES = 50;

const OVERSIZE = textFrame('x'.repeat(100_000));
const none = <T>(value: () => T) => Object.fromEntries(KINDS.map((kind) => [kind, value()])) as Record<Kind, T>;

type Attacker = {
  kind: Kind;
  number: number;
  device: number;
  socket: RawSocket | undefined;
  letIn: boolean;
  tried: boolean;
  /** On the wheel. */
  awaited: boolean;
  /** The turn from which on it may come back. */
  backAt: number;
};

/** Attackers, each of which comes back soon after it was thrown out. One timer for all. */
export class Attackers {
  readonly #order: Order;
  readonly #counts: Counts = { standing: none(() => 0), attempts: none(() => 0), untried: 0, ends: none(() => ({})) };
  readonly #timer: NodeJS.Timeout;
  /** What is to be done in each of the next turns. */
  readonly #wheel: Attacker[][] = Array.from({ length: 64 }, () => []);
  #toOpen: Attacker[];
  #turn = 0;

  constructor(order: Order) {
    this.#order = order;
    let devices = 0;
    const withToken = new Set<Kind>(KINDS_WITH_TOKEN);
    const all = KINDS.flatMap((kind) =>
      Array.from({ length: Math.round(MIX[kind] * order.scale) }, (_, number): Attacker => {
        return {
          kind,
          number,
          device: withToken.has(kind) ? devices++ : 0,
          socket: undefined,
          letIn: false,
          tried: false,
          awaited: false,
          backAt: 0,
        };
      }),
    );
    this.#counts.untried = all.length;
    // One kind after the other would meet the gateway rested.
    this.#toOpen = all
      .map((one) => ({ one, at: Math.random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ one }) => one);
    this.#timer = setInterval(() => this.#takeTurn(), TURN_MS);
  }

  counts = (): Counts => this.#counts;

  /** Those that stand are left to the end of their process. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #later(turns: number, attacker: Attacker): void {
    attacker.awaited = true;
    this.#wheel[(this.#turn + turns) % this.#wheel.length]!.push(attacker);
  }

  #takeTurn(): void {
    this.#turn++;
    const slot = this.#turn % this.#wheel.length;
    const due = this.#wheel[slot]!;
    this.#wheel[slot] = [];
    for (const attacker of due) {
      attacker.awaited = false;
      if (attacker.socket) this.#goOn(attacker, attacker.socket);
      else if (attacker.backAt > this.#turn) this.#later(attacker.backAt - this.#turn, attacker);
      else this.#toOpen.push(attacker);
    }
    for (const attacker of this.#toOpen.splice(0, OPEN_PER_TURN)) this.#open(attacker);
  }

  #open(attacker: Attacker): void {
    const { kind, number } = attacker;
    const url = new URL(this.#order.urls[number % this.#order.urls.length]!);
    const address = `127.0.1.${1 + (number % ADDRESSES)}`;
    this.#counts.attempts[kind]++;
    if (!attacker.tried) this.#counts.untried--;
    attacker.tried = true;
    let connected = false;
    const socket = new RawSocket(url.hostname, Number(url.port), address, {
      connected: () => {
        connected = true;
        this.#counts.standing[kind]++;
        this.#begin(attacker, socket, url.host);
      },
      welcomed: () => {
        attacker.letIn = true;
        this.#goOn(attacker, socket);
      },
      ended: (end: End) => {
        if (connected) this.#counts.standing[kind]--;
        const ends = this.#counts.ends[kind];
        ends[end] = (ends[end] ?? 0) + 1;
        attacker.socket = undefined;
        attacker.letIn = false;
        const wait = end === 'cut' ? 1 : BACK_TURNS;
        attacker.backAt = this.#turn + wait;
        if (!attacker.awaited) this.#later(wait, attacker);
      },
    });
    attacker.socket = socket;
  }

  #begin(attacker: Attacker, socket: RawSocket, host: string): void {
    const { kind, device } = attacker;
    if (kind === 'silent') return;
    const head = `GET /v1/connect?device=d${device % DEVICES_EACH} HTTP/1.1\r\nHost: ${host}\r\n`;
    if (kind === 'slowloris') {
      socket.write(head);
      return this.#later(DRIP_TURNS, attacker);
    }
    const { tokens } = this.#order;
    const good = tokens[Math.floor(device / DEVICES_EACH) % tokens.length]!;
    const token = kind === 'badToken' ? `${good.slice(0, -3)}bad` : good;
    socket.write(
      `${head}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: restante.v1\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    );
  }

  /** What it does while it stands. */
  #goOn(attacker: Attacker, socket: RawSocket): void {
    const { kind } = attacker;
    if (kind === 'slowloris') {
      socket.write('X-Drop: y\r\n');
      return this.#later(DRIP_TURNS, attacker);
    }
    if (!attacker.letIn) return;
    if (kind === 'oversize') return socket.write(OVERSIZE);
    if (kind !== 'flood') return;
    if (socket.unread < FLOOD_UNREAD_BYTES) socket.write(flood(attacker));
    this.#later(1, attacker);
  }
}

/** As fast as it can: sends beyond any rate, acks of the future, what is no JSON, pings. */
function flood({ device }: Attacker): Buffer {
  const id = `flood-${device}-${Date.now()}`;
  const frames = Array.from({ length: FLOOD_FRAMES / 4 }, (_, i) => [
    textFrame(JSON.stringify({ t: 'send', id: `${id}-${i}`, to: 'nobody-at-all', body: 'x' })),
    BAD_ACK,
    NO_JSON,
    PING,
  ]);
  return Buffer.concat(frames.flat());
}
const BAD_ACK = textFrame('{"t":"ack","seq":99999999,"gen":1}');
const NO_JSON = textFrame('{"t":');
const PING = textFrame('{"t":"ping"}');
