import type { Driver } from './driver.ts';
import { MESSAGE_BYTES, messageText, type Padding } from './message-text.ts';

const ACCEPTED = 1;
const RECEIVED = 2;

type UserAccount = {
  sent: number;
  flags: Uint8Array;
  highest: number;
  unique: number;
  /** When the first and the last came since `expect`. */
  first: number;
  last: number;
  wanted: number;
  done: (() => void) | undefined;
};
type Parsed = { id: string; to: string; seq: number; t: number };

/** What became of the messages. A clean run has 0 in all but the first three. */
export type Counters = {
  sent: number;
  accepted: number;
  received: number;
  /** Accepted, never delivered. */
  lost: number;
  duplicated: number;
  /** Delivered after a later one of the same user. */
  outOfOrder: number;
  failed: number;
  corrupt: number;
  misrouted: number;
  unknown: number;
  errors: Record<string, number>;
};

/** Makes the messages and keeps the account of each: accepted, received, again, out of order. */
export class Recorder {
  readonly #run = Math.random().toString(36).slice(2, 8);
  readonly #users = new Map<string, UserAccount>();
  readonly #padding: Padding;
  readonly errors = new Map<string, number>();
  sent = 0;
  accepted = 0;
  unique = 0;
  duplicated = 0;
  onEach: ((sentAt: number, now: number, user: string) => void) | undefined;
  #failed = 0;
  #outOfOrder = 0;
  #corrupt = 0;
  #misrouted = 0;
  #unknown = 0;

  constructor(padding: Padding = 'random') {
    this.#padding = padding;
  }

  user(id: string): UserAccount {
    let user = this.#users.get(id);
    if (user === undefined) {
      user = {
        sent: 0,
        flags: new Uint8Array(64),
        highest: -1,
        unique: 0,
        first: 0,
        last: 0,
        wanted: Number.POSITIVE_INFINITY,
        done: undefined,
      };
      this.#users.set(id, user);
    }
    return user;
  }

  /** Sends one message through the driver; resolves to whether it was durably accepted. */
  async send(driver: Driver, id: string): Promise<boolean> {
    const user = this.user(id);
    const seq = user.sent++;
    if (seq >= user.flags.length) {
      const more = new Uint8Array(user.flags.length * 2);
      more.set(user.flags);
      user.flags = more;
    }
    const text = messageText({ run: this.#run, to: id, seq, nth: this.sent++, padding: this.#padding });
    try {
      await driver.sendTo(id, text);
      user.flags[seq]! |= ACCEPTED;
      this.accepted++;
      return true;
    } catch (error) {
      this.#failed++;
      this.countError(error);
      return false;
    }
  }

  countError(error: unknown): void {
    const text = String(error instanceof Error ? error.message : error).slice(0, 120);
    this.errors.set(text, (this.errors.get(text) ?? 0) + 1);
  }

  /** The `onMessage` of one user. A driver passes the text, its bytes, or the object that it has parsed already. */
  sink(id: string): (message: unknown) => void {
    const user = this.user(id);
    return (message) => {
      const now = performance.now();
      const parsed = this.#parse(message);
      if (parsed !== undefined) this.#record(id, user, parsed, now);
    };
  }

  #parse(message: unknown): Parsed | undefined {
    if (typeof message !== 'string' && !Buffer.isBuffer(message)) return message as Parsed;
    if (message.length !== MESSAGE_BYTES) this.#corrupt++;
    try {
      return JSON.parse(message as string) as Parsed;
    } catch {
      this.#corrupt++;
      return undefined;
    }
  }

  #record(id: string, user: UserAccount, { to, id: messageId, seq, t }: Parsed, now: number): void {
    if (to !== id) {
      this.#misrouted++;
    } else if (!String(messageId).startsWith(this.#run) || seq >= user.sent) {
      this.#unknown++;
    } else if (user.flags[seq]! & RECEIVED) {
      this.duplicated++;
    } else {
      user.flags[seq]! |= RECEIVED;
      if (seq < user.highest) this.#outOfOrder++;
      else user.highest = seq;
      this.unique++;
      user.unique++;
      if (user.first === 0) user.first = now;
      user.last = now;
      this.onEach?.(t, now, id);
      if (user.unique >= user.wanted) user.done?.();
    }
  }

  /** Resolves to true when the user has had `count` more messages; to false where that takes longer than `ms`. */
  expect(id: string, count: number, ms: number): Promise<boolean> {
    const user = this.user(id);
    user.first = 0;
    user.last = 0;
    user.wanted = user.unique + count;
    return new Promise((resolve) => {
      const finish = (came: boolean) => {
        clearTimeout(timer);
        user.done = undefined;
        user.wanted = Number.POSITIVE_INFINITY;
        resolve(came);
      };
      const timer = setTimeout(() => finish(false), ms);
      user.done = () => finish(true);
    });
  }

  /** When the last message of any user came. */
  lastOfAll(): number {
    let last = 0;
    for (const user of this.#users.values()) last = Math.max(last, user.last);
    return last;
  }

  counters(): Counters {
    let lost = 0;
    for (const user of this.#users.values()) {
      for (let i = 0; i < user.sent; i++) if ((user.flags[i]! & (ACCEPTED | RECEIVED)) === ACCEPTED) lost++;
    }
    return {
      sent: this.sent,
      accepted: this.accepted,
      received: this.unique,
      lost,
      duplicated: this.duplicated,
      outOfOrder: this.#outOfOrder,
      failed: this.#failed,
      corrupt: this.#corrupt,
      misrouted: this.#misrouted,
      unknown: this.#unknown,
      errors: Object.fromEntries(this.errors),
    };
  }
}
