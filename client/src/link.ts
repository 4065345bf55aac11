import { DEFAULT_BACKOFF } from './backoff.ts';
import type { ClientOptions, Timeouts } from './client-options.ts';
import { Connection } from './connection.ts';
import type { ConnectionState, Phase } from './connection-rules.ts';
import { defaultEnvironment, type Environment } from './environment.ts';
import { Ephemeral, type EphemeralFrame } from './ephemeral.ts';
import { RestanteError } from './errors.ts';
import { type Group, Http } from './http.ts';
import { uuidv7 } from './ids.ts';
import { Intake } from './intake.ts';
import { Changes } from './live.ts';
import { DEFAULT_QUEUE, OutboxQueue } from './outbox-queue.ts';
import type { ServerFrame, WelcomeFrame } from './protocol.ts';
import { Puller } from './puller.ts';
import { Reads } from './reads.ts';
import { Screens } from './screens.ts';
import { Sender } from './sender.ts';
import { type Applied, stepOf } from './steps.ts';
import type { OutboxRecord } from './store/records.ts';
import { syncByHttp } from './sync.ts';
import { browserTabs, type TabMessage, type Tabs } from './tabs.ts';
import { TokenCache } from './token.ts';

/**
 * What the connection is up to. In `standby` another tab holds it, and `elsewhere` is its phase. `ended` says why a
 * `stopped` one will not come back by itself: 4003, this device connected from elsewhere; 4009, 1009, a defect.
 */
export type LinkStatus = {
  phase: Phase;
  elsewhere?: Phase;
  ended?: { code: number; reason: string };
  failures: number;
};
export type WireListener = (direction: 'in' | 'out', text: string) => void;

type LinkOptions = Omit<ClientOptions, 'timeouts'> & { timeouts: Timeouts };
/** A visible tab that doesn't lead looks this often whether anyone does. */
const CHECK_LEADER_MS = 15_000;

/** All that is between the store and the server: wires the parts together and hands frames from one to the other. */
export class Link {
  readonly environment: Environment;
  readonly changes = new Changes();
  readonly ephemeral: Ephemeral;
  readonly http: Http;
  readonly puller: Puller;
  readonly screens: Screens;
  readonly #options: LinkOptions;
  readonly #connection: Connection;
  readonly #intake: Intake;
  readonly #sender: Sender;
  readonly #reads: Reads;
  readonly #errorListeners = new Set<(error: unknown) => void>();
  readonly #wireListeners = new Set<WireListener>();
  readonly #watched = new Map<string, readonly string[]>();
  readonly #tab: string;
  #tabs: Tabs | undefined;
  #leader = false;
  #connections = 0;
  #elsewhere: Phase | undefined;
  #device: Promise<string> | undefined;
  #stopWatching: () => void = () => {};

  constructor(options: LinkOptions) {
    this.#options = options;
    const { store, user, codec, timeouts } = options;
    const environment = defaultEnvironment(options.environment ?? {});
    this.environment = environment;
    this.#tab = uuidv7(environment.clock.now(), environment.randomBytes);
    const urls = typeof options.url === 'string' ? [options.url] : options.url;
    const backoff = options.backoff ?? DEFAULT_BACKOFF;
    const token = new TokenCache(options.token, () => environment.clock.now());
    const onError = (error: unknown) => this.report(error);
    const onChanged = (topics: Iterable<string>) => this.changed(topics);
    const common = { store, user, codec, environment, onError };
    this.ephemeral = new Ephemeral(environment.clock, (topics) => this.changes.emit(topics));
    this.http = new Http({ environment, urls, token, timeoutMs: timeouts.httpMs });
    this.puller = new Puller({ ...common, http: this.http, onChanged });
    this.screens = new Screens(store, this.puller, (work) => this.#try(work));
    this.#reads = new Reads(store, user);
    this.#intake = new Intake({ ...common, onApplied: (applied, connection) => this.#onApplied(applied, connection) });
    const queue = new OutboxQueue({
      ...DEFAULT_QUEUE,
      ...{ backoff, acceptTimeoutMs: timeouts.acceptMs, storeTimeoutMs: timeouts.storeMs },
      ...(options.maxAttempts === undefined ? {} : { maxAttempts: options.maxAttempts }),
    });
    const send = (frame: Parameters<Connection['send']>[0]) => this.#connection.send(frame);
    this.#sender = new Sender({ ...common, queue, intake: this.#intake, http: this.http, send, onChanged });
    this.#connection = new Connection({
      ...{ environment, urls, token, backoff, onError, device: () => this.device() },
      ...{ connectTimeoutMs: timeouts.connectMs, silenceMs: timeouts.silenceMs, pongTimeoutMs: timeouts.pongMs },
      onState: (state) => this.#onState(state),
      onWelcome: (welcome) => this.#onWelcome(welcome),
      onFrame: (frame) => this.#onFrame(frame),
      onGone: () => this.#onGone(),
      onWire: (direction, text) => {
        for (const listener of this.#wireListeners) listener(direction, text);
      },
    });
  }

  async start(): Promise<void> {
    const device = await this.device();
    if (this.#tabs !== undefined) return;
    const { clock, signals } = this.environment;
    this.#tabs = this.#options.tabs ?? browserTabs(`restante:${this.user}:${device}`, clock);
    this.#tabs.join({
      onLeader: (leader) => void this.#try(() => this.#onLeader(leader)),
      onMessage: (message) => this.#onTab(message),
    });
    this.#connection.start();
    this.screens.start();
    this.#stopWatching = signals.subscribe(() => {
      if (!signals.visible()) return;
      // Frozen or in the background, it may have missed what other tabs told.
      this.changes.emit(['*']);
      this.#tabs?.checkLeader();
    });
    const check = (): void => {
      if (this.#tabs === undefined) return;
      if (signals.visible()) this.#tabs.checkLeader();
      this.#cancelCheck = clock.after(CHECK_LEADER_MS, check);
    };
    check();
  }
  #cancelCheck: () => void = () => {};

  async stop(): Promise<void> {
    this.#stopWatching();
    this.#cancelCheck();
    this.#connection.stop();
    const tabs = this.#tabs;
    this.#tabs = undefined;
    tabs?.leave();
    this.#sender.close();
    this.puller.close();
    this.ephemeral.clear();
    await this.#intake.settled();
    this.#intake.close();
  }

  pause(): void {
    this.#connection.stop();
  }

  resume(): void {
    this.#connection.start();
  }

  get user(): string {
    return this.#options.user;
  }

  /** Made once, in one transaction: two tabs that start together get the same. */
  device(): Promise<string> {
    const { store, device: given } = this.#options;
    const { clock, randomBytes } = this.environment;
    this.#device ??= store
      .transaction('write', async (tx) => {
        const known = (await tx.get('meta', ['device']))?.value as string | undefined;
        const device = given ?? known ?? uuidv7(clock.now(), randomBytes);
        if (device !== known) await tx.put('meta', { key: 'device', value: device });
        return device;
      })
      .catch((error: unknown) => {
        this.#device = undefined;
        throw error;
      });
    return this.#device;
  }

  status(): LinkStatus {
    const { phase, ended, failures } = this.#connection.state;
    const elsewhere = phase === 'standby' && this.#elsewhere !== undefined ? { elsewhere: this.#elsewhere } : {};
    return { phase, failures, ...elsewhere, ...(ended === undefined ? {} : { ended }) };
  }

  /** A message is in the outbox. */
  queued(record: OutboxRecord): void {
    this.changed(['outbox', record.conversation]);
    if (this.#leader) this.#sender.add(record);
    else {
      this.#tabs?.post({ type: 'outbox' });
      this.#tabs?.checkLeader();
    }
  }

  /** A message of the outbox was changed by hand. */
  edited(type: 'cancelled' | 'resend', id: string): void {
    this.changed(['outbox', '*']);
    if (this.#leader) void this.#try(() => this.#sender.reload(id));
    else this.#tabs?.post({ type, id });
  }

  async markRead(conversation: string, position: number | undefined): Promise<void> {
    if (!(await this.#reads.mark(conversation, position))) return;
    this.changed(['conversations', conversation]);
    if (this.#leader) await this.#sendReads();
    else this.#tabs?.post({ type: 'reads' });
  }

  setTyping(conversation: string, on: boolean): void {
    if (!this.ephemeral.shouldSay(conversation, on)) return;
    if (this.#leader) this.#connection.send({ t: 'typing', conversation, on });
    else this.#tabs?.post({ type: 'typing', conversation, on });
  }

  watch(users: readonly string[]): void {
    this.#watched.set(this.#tab, users);
    this.#tabs?.post({ type: 'watch', tab: this.#tab, users: [...users] });
    this.#sendWatch();
  }

  /** The id is made here, so that a call whose answer was lost finds its group made. */
  async createGroup(group: { id?: string; members: string[]; title?: string }): Promise<Group> {
    const id = group.id ?? uuidv7(this.environment.clock.now(), this.environment.randomBytes);
    let made: Group;
    try {
      made = await this.http.createGroup({ ...group, id });
    } catch (error) {
      if (group.id !== undefined || !(error instanceof RestanteError) || error.code !== 'duplicate_conflict')
        throw error;
      made = await this.http.conversation(`grp:${id}`);
    }
    await this.puller.saveGroup(made);
    return made;
  }

  async sync(): Promise<number> {
    const { store, user, codec } = this.#options;
    const { received, topics, pull } = await syncByHttp({
      store,
      user,
      codec,
      http: this.http,
      device: await this.device(),
    });
    this.changed(topics);
    if (pull) await this.puller.run();
    return received;
  }

  onWire(listener: WireListener): () => void {
    this.#wireListeners.add(listener);
    return () => this.#wireListeners.delete(listener);
  }

  onError(listener: (error: unknown) => void): () => void {
    this.#errorListeners.add(listener);
    return () => this.#errorListeners.delete(listener);
  }

  report(error: unknown): void {
    for (const listener of this.#errorListeners) listener(error);
  }

  /** Tells this tab and the others. */
  changed(topics: Iterable<string>): void {
    const list = [...topics];
    if (list.length === 0) return;
    this.changes.emit(list);
    this.#tabs?.post({ type: 'changed', topics: list });
  }

  async #onLeader(leader: boolean): Promise<void> {
    this.#leader = leader;
    if (leader) {
      await this.#sender.load();
      void this.puller.run();
    }
    if (leader === this.#leader) this.#connection.setLeader(leader);
  }

  #onState(state: ConnectionState): void {
    this.changes.emit(['status']);
    if (this.#leader) this.#tabs?.post({ type: 'phase', phase: state.phase });
  }

  #onWelcome(welcome: WelcomeFrame): void {
    if (welcome.user !== this.user) {
      this.report(new RestanteError('wrong_user', `the token is ${welcome.user}'s, this client is ${this.user}'s`));
      this.#connection.stop();
      return;
    }
    const connection = ++this.#connections;
    this.#intake.add(connection, { kind: 'inbox', inbox: { gen: welcome.gen, acked: welcome.acked } });
    this.#sender.connected(connection);
    this.#sendWatch();
    void this.#try(() => this.#sendReads());
    void this.puller.run();
    void this.screens.refreshAll();
  }

  #onGone(): void {
    this.#connections++;
    this.#sender.disconnected();
    this.#reads.disconnected();
    this.ephemeral.clear();
    this.changes.emit(['presence']);
  }

  #onFrame(frame: ServerFrame): void {
    const step = stepOf(frame);
    if (step !== undefined) this.#intake.add(this.#connections, step);
    if (frame.t === 'message') this.ephemeral.typed(frame.conversation, frame.from, false);
    else if (frame.t === 'accepted') this.#sender.accepted(frame.id);
    else if (frame.t === 'rejected') this.#sender.rejected(frame);
    else if (frame.t === 'pong') void this.#try(() => this.#reads.confirmed());
    else if (frame.t === 'error')
      this.report(new RestanteError(frame.code, `the server could not take a frame: ${frame.message}`));
    else if (frame.t === 'typing' || frame.t === 'presence') {
      this.#tabs?.post({ type: 'ephemeral', frame });
      this.ephemeral.apply(frame);
    }
  }

  /** A batch is in the store: now, and not before, the server may forget it. */
  #onApplied(applied: Applied, connection: number): void {
    if (connection === this.#connections) {
      for (const nack of applied.nacks) this.#connection.send({ t: 'nack', ...nack });
      if (applied.ack !== undefined) this.#connection.send({ t: 'ack', ...applied.ack });
    }
    for (const id of applied.stored) this.#sender.stored(id);
    this.changed(applied.topics);
    if (applied.pull) void this.puller.run();
    for (const group of applied.groups) void this.#try(() => this.puller.refreshGroup(group));
  }

  #onTab(message: TabMessage): void {
    if (message.type === 'changed') this.changes.emit(message.topics);
    else if (message.type === 'ephemeral') this.ephemeral.apply(message.frame as EphemeralFrame);
    else if (message.type === 'phase') {
      this.#elsewhere = message.phase as Phase;
      this.changes.emit(['status']);
    } else if (message.type === 'watch') {
      this.#watched.set(message.tab, message.users);
      this.#sendWatch();
    } else if (this.#leader) this.#onRequest(message);
  }

  /** What another tab asks of the one that holds the connection. */
  #onRequest(message: TabMessage): void {
    if (message.type === 'outbox') void this.#try(() => this.#sender.load());
    else if (message.type === 'cancelled' || message.type === 'resend')
      void this.#try(() => this.#sender.reload(message.id));
    else if (message.type === 'reads') void this.#try(() => this.#sendReads());
    else if (message.type === 'typing')
      this.#connection.send({ t: 'typing', conversation: message.conversation, on: message.on });
  }

  async #sendReads(): Promise<void> {
    if (this.#connection.state.phase !== 'connected') return;
    const reads = await this.#reads.take();
    for (const [conversation, position] of reads) this.#connection.send({ t: 'read', conversation, position });
    if (reads.length > 0) this.#connection.send({ t: 'ping' });
  }

  #sendWatch(): void {
    const users = [...new Set([...this.#watched.values()].flat())].slice(0, 200);
    if (this.#leader && users.length > 0) this.#connection.send({ t: 'watch', users });
  }

  async #try(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.report(error);
      return false;
    }
  }
}
