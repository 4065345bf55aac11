import { connect } from 'node:net';
import WebSocket from 'ws';
import { connectUrl } from '../support/client.ts';

/** What each kind of attacker is to have open, of 10,000. */
export const MIX = {
  slowloris: 3_000,
  silent: 2_500,
  badToken: 1_500,
  idle: 2_000,
  flood: 500,
  oversize: 500,
} as const;
export type Kind = keyof typeof MIX;
export type Order = { urls: string[]; tokens: string[]; scale: number };
export type Counts = { open: number; opened: Record<Kind, number>; ended: Record<Kind, number> };

const TURN_MS = 100;
/** Opened in a turn at most, of all kinds together: as fast as one machine can make them beside what it attacks. */
const OPEN_PER_TURN = 60;
const DRIP_EACH_MS = 1_000;
const FLOOD_EACH_MS = 50;

/** Attackers, each of which comes back as soon as it is thrown out. */
export class Attackers {
  readonly #order: Order;
  readonly #open: Record<Kind, number> = { slowloris: 0, silent: 0, badToken: 0, idle: 0, flood: 0, oversize: 0 };
  readonly #opened: Record<Kind, number> = { ...this.#open };
  readonly #ended: Record<Kind, number> = { ...this.#open };
  readonly #timer: NodeJS.Timeout;
  #next = 0;

  constructor(order: Order) {
    this.#order = order;
    this.#timer = setInterval(() => this.#turn(), TURN_MS);
  }

  counts(): Counts {
    const open = Object.values(this.#open).reduce((sum, one) => sum + one, 0);
    return { open, opened: { ...this.#opened }, ended: { ...this.#ended } };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #turn(): void {
    const kinds = (Object.keys(MIX) as Kind[]).flatMap((kind) => {
      const missing = Math.round(MIX[kind] * this.#order.scale) - this.#open[kind];
      return Array.from({ length: Math.max(0, missing) }, () => kind);
    });
    for (let i = 0; i < OPEN_PER_TURN && kinds.length > 0; i++)
      this.#attack(kinds.splice(Math.floor(Math.random() * kinds.length), 1)[0]!);
  }

  #attack(kind: Kind): void {
    const { urls, tokens } = this.#order;
    const number = this.#next++;
    const url = urls[number % urls.length]!;
    this.#open[kind]++;
    this.#opened[kind]++;
    let over = false;
    const ended = () => {
      if (over) return;
      over = true;
      this.#open[kind]--;
      this.#ended[kind]++;
    };
    if (kind === 'slowloris' || kind === 'silent') return tcp(kind, url, ended);
    const token = kind === 'badToken' ? `${tokens[0]!.slice(0, -3)}bad` : tokens[number % tokens.length]!;
    socket(kind, url, token, `d${number % 8}`, ended);
  }
}

/** Says nothing, or a header a second for ever. */
function tcp(kind: 'slowloris' | 'silent', url: string, ended: () => void): void {
  const { hostname, port } = new URL(url);
  const raw = connect(Number(port), hostname);
  if (kind === 'slowloris') {
    raw.write('GET /v1/connect?device=slow HTTP/1.1\r\nhost: x\r\n');
    const drip = setInterval(() => raw.write('x-drop: y\r\n'), DRIP_EACH_MS);
    raw.on('close', () => clearInterval(drip));
  }
  raw.on('error', () => undefined);
  raw.on('close', ended);
}

function socket(kind: Kind, url: string, token: string, device: string, ended: () => void): void {
  const ws = new WebSocket(connectUrl(url, device), ['restante.v1'], {
    headers: { authorization: `Bearer ${token}` },
    perMessageDeflate: false,
  });
  ws.on('error', () => undefined);
  ws.on('unexpected-response', (request) => {
    request.destroy();
    ended();
  });
  ws.on('close', ended);
  ws.on('open', () => {
    if (kind === 'oversize') ws.send('x'.repeat(100_000));
    if (kind !== 'flood') return;
    let n = 0;
    // Frames that cost: sends beyond the rate, acks of the future, what is no JSON.
    const flood = setInterval(() => {
      n++;
      ws.send(JSON.stringify({ t: 'send', id: `flood-${device}-${n}`, to: 'nobody-at-all', body: 'x' }));
      ws.send('{"t":"ack","seq":99999999,"gen":1}');
      ws.send('{"t":');
    }, FLOOD_EACH_MS);
    ws.on('close', () => clearInterval(flood));
  });
}
