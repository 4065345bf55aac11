import type { SocketLike } from '../environment.ts';
import type { ClientFrame, HistoryMessage, ServerFrame } from '../protocol.ts';
import type { VirtualClock } from './virtual-clock.ts';

type Entry = Record<string, unknown> & { t: string };
type Device = { acked: number; socket: PeerSocket | undefined; sent: number };

/** How the line behaves; changed while a test runs. */
export type Line = {
  delayMs: () => number;
  /** Of each frame in either direction: delivered, delivered twice (client to server only), or the line goes dead without a word. */
  fate: (direction: 'in' | 'out') => 'deliver' | 'twice' | 'half-open' | 'drop';
  refuse: () => boolean;
};

export const GOOD_LINE: Line = { delayMs: () => 5, fate: () => 'deliver', refuse: () => false };

/**
 * The server's half of PROTOCOL.md in memory, on a test's clock: inboxes with dense seqs, cursors per device, ids sent
 * once, cumulative receipts. It stands for the server only in tests of the client's rules; what the two really do
 * together is tested on the real one (e2e/client-*.e2e.test.ts).
 */
export class Peer {
  line: Line = GOOD_LINE;
  gen = 7;
  window = 64;
  /** Answers a send in place of the peer where it returns a frame. */
  onSend: (user: string, frame: ClientFrame & { t: 'send' }) => ServerFrame | undefined = () => undefined;
  readonly history = new Map<string, HistoryMessage[]>();
  readonly inboxes = new Map<string, Entry[]>();
  readonly devices = new Map<string, Device>();
  readonly frames: { user: string; frame: ClientFrame }[] = [];
  readonly connects: { user: string; device: string; url: string }[] = [];
  readonly httpCalls: string[] = [];
  readonly #clock: VirtualClock;
  readonly #known = new Map<string, HistoryMessage>();
  #position = 2 ** 40;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** A WebSocket class whose sockets lead here. The token names the user: `token-<user>`. */
  get WebSocket(): new (
    url: string,
    protocols: string[],
  ) => SocketLike {
    const peer = this;
    return class extends PeerSocket {
      constructor(url: string, protocols: string[]) {
        super(peer, peer.#clock, url, protocols[1]?.slice('bearer.token-'.length) ?? '');
      }
    };
  }

  /** A message as another user would have sent it. */
  post(from: string, conversation: string, id: string, body: string): HistoryMessage {
    return this.#store({ t: 'send', id, conversation, body }, from);
  }

  /** Puts an entry as it is into a user's inbox. */
  enter(user: string, entry: Entry): void {
    const inbox = this.inboxes.get(user) ?? [];
    this.inboxes.set(user, inbox);
    inbox.push(entry);
    for (const [key, device] of this.devices) if (key.startsWith(`${user}/`)) this.#deliver(user, device);
  }

  /** Closes what is connected, as a dying gateway or a drain would. */
  closeAll(code: number): void {
    for (const device of this.devices.values()) device.socket?.closeFromServer(code);
  }

  /** The inbox is rebuilt as a new generation: everything that was is unacked again. */
  reset(): void {
    this.gen += 1;
    for (const [key, device] of this.devices) {
      device.acked = 0;
      device.sent = 0;
      const user = key.split('/')[0] ?? '';
      device.socket?.write({ t: 'reset', gen: this.gen, acked: 0, tail: this.inboxes.get(user)?.length ?? 0 });
      this.#deliver(user, device);
    }
  }

  connect(user: string, device: string, socket: PeerSocket): void {
    this.connects.push({ user, device, url: socket.url });
    const known = this.devices.get(`${user}/${device}`) ?? { acked: 0, socket: undefined, sent: 0 };
    known.socket?.closeFromServer(4003);
    known.socket = socket;
    known.sent = known.acked;
    this.devices.set(`${user}/${device}`, known);
    const tail = this.inboxes.get(user)?.length ?? 0;
    socket.write({
      t: 'welcome',
      connection: 'c',
      user,
      device,
      gen: this.gen,
      acked: known.acked,
      tail,
      window: this.window,
      heartbeatSeconds: 30,
      now: this.#clock.now(),
    });
    this.#deliver(user, known);
    socket.write({ t: 'drained', seq: tail, gen: this.gen });
  }

  take(user: string, device: string, socket: PeerSocket, frame: ClientFrame): void {
    this.frames.push({ user, frame });
    const state = this.devices.get(`${user}/${device}`);
    if (frame.t === 'ping') socket.write({ t: 'pong', now: this.#clock.now() });
    if (frame.t === 'send') this.#send(user, frame, socket);
    if (frame.t === 'read') this.#receipt(frame.conversation, user, { read: frame.position });
    if (frame.t === 'ack' && state !== undefined) {
      if (frame.gen !== this.gen || frame.seq > state.sent)
        return socket.write({ t: 'error', code: 'bad_field', message: `ack ${frame.seq} of ${state.sent}` });
      const news = (this.inboxes.get(user) ?? []).slice(state.acked, frame.seq);
      state.acked = Math.max(state.acked, frame.seq);
      for (const entry of news)
        if (entry.t === 'message')
          this.#receipt(String(entry.conversation), user, { delivered: Number(entry.position) });
      this.#deliver(user, state);
    }
  }

  /** The HTTP calls that the client makes. */
  readonly fetch = (async (input: string, init: RequestInit = {}) => {
    const url = new URL(input);
    const user = String((init.headers as Record<string, string>).authorization).slice('Bearer token-'.length);
    this.httpCalls.push(`${init.method} ${url.pathname}${url.search}`);
    if (this.line.refuse()) throw new TypeError('fetch failed');
    const body = init.body === undefined ? {} : (JSON.parse(String(init.body)) as Record<string, unknown>);
    const answer = this.#http(user, url, body);
    return new Response(answer === undefined ? '{"code":"no_such_conversation"}' : JSON.stringify(answer), {
      status: answer === undefined ? 404 : 200,
    });
  }) as typeof fetch;

  #http(user: string, url: URL, body: Record<string, unknown>): unknown {
    const inbox = this.inboxes.get(user) ?? [];
    if (url.pathname === '/v1/messages/sync') {
      const device = this.#device(user, url.searchParams.get('device') ?? '');
      const limit = Number(url.searchParams.get('limit'));
      const entries = inbox
        .slice(device.acked, device.acked + limit)
        .map((entry, i) => ({ ...entry, seq: device.acked + i + 1, gen: this.gen }));
      return {
        gen: this.gen,
        acked: device.acked,
        tail: inbox.length,
        entries,
        more: device.acked + limit < inbox.length,
      };
    }
    if (url.pathname === '/v1/messages/ack') {
      const device = this.#device(user, String(body.device));
      device.acked = Math.max(device.acked, Number(body.seq));
      return { gen: this.gen, acked: device.acked };
    }
    if (url.pathname === '/v1/conversations') {
      const mine = [...this.history].filter(([id]) => id.includes(user));
      return {
        conversations: mine.map(([id, messages]) => ({
          id,
          lastPosition: messages.at(-1)?.position ?? 0,
          read: 0,
          unread: 0,
          updatedAt: this.#clock.now(),
        })),
      };
    }
    const [, , , conversation, what] = url.pathname.split('/').map(decodeURIComponent);
    const messages = this.history.get(conversation ?? '');
    if (messages === undefined) return undefined;
    if (what === 'receipts') return { receipts: [] };
    const limit = Number(url.searchParams.get('limit'));
    const after = url.searchParams.get('after');
    const before = Number(url.searchParams.get('before') ?? Number.MAX_SAFE_INTEGER);
    const inside = messages.filter(({ position }) => position > Number(after ?? -1) && position < before);
    const page = after === null ? inside.slice(-limit) : inside.slice(0, limit);
    return { messages: page, more: page.length < inside.length };
  }

  #device(user: string, device: string): Device {
    const known = this.devices.get(`${user}/${device}`) ?? { acked: 0, socket: undefined, sent: 0 };
    this.devices.set(`${user}/${device}`, known);
    return known;
  }

  #send(user: string, frame: ClientFrame & { t: 'send' }, socket: PeerSocket): void {
    const answer = this.onSend(user, frame);
    if (answer !== undefined) return socket.write(answer);
    const before = this.#known.get(`${user}/${frame.id}`);
    if (before !== undefined && before.body !== frame.body) {
      return socket.write({ t: 'rejected', id: frame.id, code: 'duplicate_conflict', message: '', retryable: false });
    }
    const { position } = before ?? this.#store(frame, user);
    const at = this.#clock.now();
    socket.write({ t: 'accepted', id: frame.id, at });
    socket.write({ t: 'stored', id: frame.id, conversation: frame.conversation, position, at });
  }

  #store(frame: ClientFrame & { t: 'send' }, from: string): HistoryMessage {
    const at = this.#clock.now();
    const { id, conversation, body } = frame;
    const message: HistoryMessage = {
      t: 'message',
      id,
      conversation,
      body,
      from,
      position: ++this.#position,
      kind: 'text',
      sentAt: at,
      storedAt: at,
    };
    this.#known.set(`${from}/${id}`, message);
    this.history.set(conversation, [...(this.history.get(conversation) ?? []), message]);
    for (const user of conversation.slice(3).split(':'))
      if (user !== from) this.enter(user, { ...message, t: 'message' });
    return message;
  }

  #receipt(conversation: string, user: string, receipt: { delivered?: number; read?: number }): void {
    for (const other of conversation.slice(3).split(':')) {
      if (other === user) continue;
      for (const [key, device] of this.devices)
        if (key.startsWith(`${other}/`)) device.socket?.write({ t: 'receipt', conversation, user, ...receipt });
    }
  }

  #deliver(user: string, device: Device): void {
    const inbox = this.inboxes.get(user) ?? [];
    while (device.socket !== undefined && device.sent < inbox.length && device.sent - device.acked < this.window) {
      const seq = ++device.sent;
      device.socket.write({ ...(inbox[seq - 1] as Entry), seq, gen: this.gen } as unknown as ServerFrame);
    }
  }
}

/** One end of a line whose faults the test decides. */
class PeerSocket implements SocketLike {
  readyState = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  readonly url: string;
  readonly #peer: Peer;
  readonly #clock: VirtualClock;
  readonly #user: string;
  readonly #device: string;
  #dead = false;
  /** When the last frame of each direction arrives: a line keeps the order. */
  #arrives = { in: 0, out: 0 };

  constructor(peer: Peer, clock: VirtualClock, url: string, user: string) {
    this.#peer = peer;
    this.#clock = clock;
    this.url = url;
    this.#user = user;
    this.#device = new URL(url).searchParams.get('device') ?? '';
    clock.after(peer.line.delayMs(), () => {
      if (peer.line.refuse()) return this.#closed(1006);
      this.readyState = 1;
      peer.connect(user, this.#device, this);
    });
  }

  send(text: string): void {
    this.#carry('out', () => this.#peer.take(this.#user, this.#device, this, JSON.parse(text) as ClientFrame));
  }

  write(frame: ServerFrame): void {
    const text = JSON.stringify(frame);
    this.#carry('in', () => (this.onmessage as ((event: unknown) => void) | null)?.({ data: text }));
  }

  close(): void {
    this.#gone();
  }

  closeFromServer(code: number): void {
    this.#gone();
    this.#clock.after(1, () => this.#closed(code));
  }

  #carry(direction: 'in' | 'out', arrive: () => void): void {
    if (this.#dead || this.readyState !== 1) return;
    const fate = this.#peer.line.fate(direction);
    if (fate === 'half-open') this.#gone();
    if (fate === 'drop') this.closeFromServer(1006);
    if (this.#dead) return;
    this.#arrives[direction] = Math.max(this.#arrives[direction], this.#clock.now() + this.#peer.line.delayMs());
    for (let times = fate === 'twice' && direction === 'out' ? 2 : 1; times > 0; times--) {
      this.#clock.after(this.#arrives[direction] - this.#clock.now(), () => {
        if (!this.#dead) arrive();
      });
    }
  }

  #gone(): void {
    this.#dead = true;
    const device = this.#peer.devices.get(`${this.#user}/${this.#device}`);
    if (device?.socket === this) device.socket = undefined;
  }

  #closed(code: number): void {
    this.#gone();
    this.readyState = 3;
    (this.onclose as ((event: unknown) => void) | null)?.({ code, reason: '' });
  }
}
