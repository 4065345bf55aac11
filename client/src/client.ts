import { type ClientOptions, DEFAULT_TIMEOUTS } from './client-options.ts';
import type { Presence } from './ephemeral.ts';
import { RestanteError } from './errors.ts';
import type { Group } from './http.ts';
import { directConversation, uuidv7 } from './ids.ts';
import { Link, type LinkStatus, type WireListener } from './link.ts';
import { liveQuery, Waker } from './live.ts';
import { type CancelResult, OutboxEdits, type SendOptions } from './outbox-edits.ts';
import { MAX_WATCHED_USERS } from './protocol.ts';
import type { Transaction } from './store/store.ts';
import {
  type Conversation,
  type Message,
  queuedView,
  readArrivals,
  readConversation,
  readConversations,
  readMessages,
  readOutbox,
} from './views.ts';

/** To a user, or into a conversation. */
export type Recipient = { to: string } | { conversation: string };
/** Ends a subscription; the listener is not called after. */
export type Unsubscribe = () => void;

const ARRIVALS_PAGE = 100;

/**
 * A user's messages on this device. Sending and reading work offline; `start` connects in the background and keeps
 * at it. All calls may be made in any tab: one of them holds the connection.
 */
export class RestanteClient {
  readonly user: string;
  readonly #options: ClientOptions;
  readonly #link: Link;
  readonly #edits: OutboxEdits;

  /** Nothing is opened or sent before `start`, `send` or another call. */
  constructor(options: ClientOptions) {
    this.user = options.user;
    this.#options = options;
    this.#edits = new OutboxEdits(options.store, options.maxOutbox ?? 10_000);
    this.#link = new Link({ ...options, timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts } });
  }

  /** Connects, and from then on reconnects, until `stop` or `pause`. Resolves as soon as the store is open. */
  start(): Promise<void> {
    return this.#link.start();
  }

  /** Closes the connection and the store. What waits is kept, and sent after the next start. */
  async stop(): Promise<void> {
    await this.#link.stop();
    await this.#options.store.close();
  }

  /** Goes offline on purpose; messages wait. */
  pause(): void {
    this.#link.pause();
  }

  /** Back from `pause`, or from a status of `stopped`. */
  resume(): void {
    this.#link.resume();
  }

  /** This installation's name. */
  device(): Promise<string> {
    return this.#link.device();
  }

  /**
   * Saves a message and sends it when it can be. Resolves once it is saved: it will be sent, whatever happens to the app.
   * @param body at most 32 KiB of UTF-8
   * @throws RestanteError `too_large`, `bad_field` or `outbox_full`: it is not saved
   */
  async send(recipient: Recipient, body: string, options: SendOptions & { id?: string } = {}): Promise<Message> {
    const { clock, randomBytes } = this.#link.environment;
    const conversation = 'to' in recipient ? directConversation(this.user, recipient.to) : recipient.conversation;
    const createdAt = clock.now();
    const { id = uuidv7(createdAt, randomBytes), ...rest } = options;
    const record = await this.#edits.enqueue({ ...rest, id, conversation, body, createdAt });
    this.#link.queued(record);
    return queuedView(record, this.user);
  }

  /** Deletes one's own message for everyone, by way of the outbox. @param position the message's */
  async deleteMessage(conversation: string, position: number): Promise<void> {
    const { clock, randomBytes } = this.#link.environment;
    const createdAt = clock.now();
    const id = uuidv7(createdAt, randomBytes);
    this.#link.queued(await this.#edits.enqueue({ id, conversation, body: '', deletes: position, createdAt }));
  }

  /** Takes a message back that the server does not have. @returns undefined where no such message waits */
  async cancel(id: string): Promise<CancelResult | undefined> {
    const result = await this.#edits.cancel(id);
    if (result === 'cancelled' || result === 'unknown') this.#link.edited('cancelled', id);
    return result;
  }

  /** Sends again what was refused, or at once what waits for its next try. A refused id that is taken is replaced by a new one. */
  async resend(id: string): Promise<void> {
    const { clock, randomBytes } = this.#link.environment;
    const revived = await this.#edits.revive(id, uuidv7(clock.now(), randomBytes));
    this.#link.edited('resend', id);
    if (revived !== undefined) this.#link.queued(revived);
  }

  /** Marks what was shown as read. @param position up to where; the newest message here where not given */
  async markRead(conversation: string, position?: number): Promise<void> {
    await this.#link.markRead(conversation, position);
  }

  /** Tells the others that the user types, or has stopped. Said at most every 3 s; forgotten by them after 6 s. */
  setTyping(conversation: string, on: boolean): void {
    this.#link.setTyping(conversation, on);
  }

  /** Asks for the presence of users who share a conversation with this one; replaces what this tab asked for before. @param users at most 200 */
  watchPresence(users: readonly string[]): void {
    if (users.length > MAX_WATCHED_USERS) throw new RestanteError('bad_field', `at most ${MAX_WATCHED_USERS} users`);
    this.#link.watch(users);
  }

  /** Makes a group of this user, its owner, and others. Needs a connection. @throws RestanteError */
  async createGroup(members: readonly string[], options: { id?: string; title?: string } = {}): Promise<Group> {
    return this.#link.createGroup({ members: [...members], ...options });
  }

  /** Adds and removes members; owners may, and anyone may leave. Needs a connection. @throws RestanteError */
  async changeMembers(conversation: string, change: { add?: string[]; remove?: string[] }): Promise<void> {
    await this.#link.http.changeMembers(conversation, change);
  }

  /**
   * Fetches an older page of a conversation into the store; subscriptions with a large enough limit then show it.
   * @returns whether there may be more. @throws RestanteError
   */
  loadOlder(conversation: string, limit = 50): Promise<boolean> {
    return this.#link.puller.loadOlder(conversation, limit);
  }

  /** Brings the list of conversations up to date; done by itself at the start. @throws RestanteError */
  async refreshConversations(): Promise<void> {
    await this.#link.puller.refreshConversations();
  }

  /** Registers this device for pushes. @throws RestanteError */
  async registerPush(push: { platform: 'apns' | 'fcm'; token: string }): Promise<void> {
    await this.#link.http.registerPush(await this.device(), push);
  }

  /** Makes the server forget this device: at logout. @throws RestanteError */
  async forgetDevice(): Promise<void> {
    await this.#link.http.forgetDevice(await this.device());
  }

  /**
   * Fetches and saves what waits, by HTTP and without `start`: for a push that woke the app, or a service worker.
   * @returns how many entries came. @throws RestanteError; what was saved until then stays saved
   */
  handlePush(): Promise<number> {
    return this.#link.sync();
  }

  /**
   * The newest messages of a conversation, then those that wait to be sent; oldest first. Called now and after each change.
   * @param options.limit how many, 100 where not given
   */
  subscribeMessages(
    conversation: string,
    listener: (messages: Message[]) => void,
    options: { limit?: number } = {},
  ): Unsubscribe {
    const leave = this.#link.screens.opened(conversation);
    const end = this.#live(
      [conversation],
      (tx) => readMessages(tx, this.user, conversation, options.limit ?? 100),
      listener,
    );
    return () => {
      leave();
      end();
    };
  }

  /** The conversations, the one with the newest message first. @param options.limit how many, 100 where not given */
  subscribeConversations(
    listener: (conversations: Conversation[]) => void,
    options: { limit?: number } = {},
  ): Unsubscribe {
    return this.#live(['conversations'], (tx) => readConversations(tx, this.user, options.limit ?? 100), listener);
  }

  /** One conversation; undefined while it is not known here. */
  subscribeConversation(conversation: string, listener: (value: Conversation | undefined) => void): Unsubscribe {
    return this.#live([conversation], (tx) => readConversation(tx, this.user, conversation), listener);
  }

  /** Unread messages, over all conversations. */
  subscribeUnread(listener: (unread: number) => void): Unsubscribe {
    const count = async (tx: Transaction): Promise<number> =>
      (await readConversations(tx, this.user, Number.MAX_SAFE_INTEGER)).reduce((sum, { unread }) => sum + unread, 0);
    return this.#live(['conversations'], count, listener);
  }

  /** What waits to be sent or was refused, in the order of sending. */
  subscribeOutbox(listener: (messages: Message[]) => void, options: { limit?: number } = {}): Unsubscribe {
    return this.#live(['outbox'], (tx) => readOutbox(tx, this.user, options.limit ?? 1000), listener);
  }

  /** Who types in a conversation, without this user. */
  subscribeTyping(conversation: string, listener: (users: string[]) => void): Unsubscribe {
    return this.#local([`typing:${conversation}`], () => this.#link.ephemeral.typists(conversation), listener);
  }

  /** Presence of the watched users, by user. */
  subscribePresence(listener: (presence: ReadonlyMap<string, Presence>) => void): Unsubscribe {
    return this.#local(['presence'], () => new Map(this.#link.ephemeral.presence), listener);
  }

  /** The state of the connection. */
  subscribeStatus(listener: (status: LinkStatus) => void): Unsubscribe {
    return this.#local(['status'], () => this.#link.status(), listener);
  }

  /** Every frame of this tab's connection, as text: for a look at the wire, not for logic. */
  subscribeWire(listener: WireListener): Unsubscribe {
    return this.#link.onWire(listener);
  }

  /** Errors of what runs in the background. Each is tried again by itself; show or log them. */
  subscribeErrors(listener: (error: unknown) => void): Unsubscribe {
    return this.#link.onError(listener);
  }

  /**
   * Messages of others as they arrive on this device, each once, from the store: a slow reader costs no memory.
   * @param options.after the `arrival` of the last one handled; kept by a bot, it makes the loop go on where it stopped.
   *   Only what comes from now on where not given.
   * @param options.signal ends the loop
   */
  async *messages(
    options: { conversation?: string; after?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<Message, void, void> {
    const { store } = this.#options;
    const arrivals = new Waker(this.#link.changes, 'arrivals', options.signal);
    const last = async (tx: Transaction) => ((await tx.get('meta', ['arrival']))?.value as number | undefined) ?? 0;
    let after = options.after ?? (await store.transaction('read', last));
    try {
      while (!arrivals.ended) {
        arrivals.rest();
        const page = await store.transaction('read', (tx) => readArrivals(tx, this.user, after, ARRIVALS_PAGE));
        for (const message of page) {
          if (arrivals.ended) return;
          after = message.arrival ?? after;
          const wanted = options.conversation === undefined || message.conversation === options.conversation;
          if (wanted && !message.mine && message.deleted === undefined) yield message;
        }
        if (page.length === 0) await arrivals.woken();
      }
    } finally {
      arrivals.end();
    }
  }

  #live<T>(topics: string[], read: (tx: Transaction) => Promise<T>, listener: (value: T) => void): Unsubscribe {
    return liveQuery({
      clock: this.#link.environment.clock,
      changes: this.#link.changes,
      topics,
      read: () => this.#options.store.transaction('read', read),
      listener,
      onError: (error) => this.#link.report(error),
    });
  }

  #local<T>(topics: string[], read: () => T, listener: (value: T) => void): Unsubscribe {
    return liveQuery({
      clock: this.#link.environment.clock,
      changes: this.#link.changes,
      topics,
      read: async () => read(),
      listener,
      onError: (error) => this.#link.report(error),
    });
  }
}
