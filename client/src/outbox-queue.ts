import { type BackoffOptions, backoffMs } from './backoff.ts';
import type { OutboxRecord, OutboxState } from './store/records.ts';

export type QueueOptions = {
  backoff: BackoffOptions;
  /** No `accepted` after this long: sent again. */
  acceptTimeoutMs: number;
  /** No `stored` after this long: asked again by sending the same id. */
  storeTimeoutMs: number;
  /** Sends unanswered at once, over all conversations. */
  maxInFlight: number;
  /** After so many tries that the server refused as retryable, the message is given up as `rejected`. */
  maxAttempts: number;
};

export const DEFAULT_QUEUE: Omit<QueueOptions, 'backoff'> = {
  acceptTimeoutMs: 20_000,
  storeTimeoutMs: 30_000,
  maxInFlight: 32,
  maxAttempts: Number.POSITIVE_INFINITY,
};

/** What the queue knows of a message; bodies stay in the store. */
export type QueueItem = {
  readonly order: number;
  readonly id: string;
  readonly conversation: string;
  state: OutboxState;
  attempts: number;
  firstSentAt: number | undefined;
  /** Not before this time. */
  dueAt: number;
  /** When it was sent on this connection; undefined while nothing is under way. */
  sentAt: number | undefined;
};

/**
 * Decides what to send when. Pure: time and random are arguments, nothing is read or written. One message of a
 * conversation is under way at a time, until it is `accepted`: so a refusal in the middle can't let a later one overtake.
 */
export class OutboxQueue {
  readonly #options: QueueOptions;
  readonly #byId = new Map<string, QueueItem>();
  readonly #byConversation = new Map<string, QueueItem[]>();
  #connected = false;
  /** The server has asked to send nothing for a while. */
  #pausedUntil = 0;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byId.size;
  }

  item(id: string): QueueItem | undefined {
    return this.#byId.get(id);
  }

  /** Takes in what the store has. What was under way when the app ended has an unknown fate: it is due again. */
  add(record: OutboxRecord): void {
    if (this.#byId.has(record.id) || record.state === 'rejected') return;
    const item: QueueItem = {
      order: record.order,
      id: record.id,
      conversation: record.conversation,
      state: record.state === 'sending' || record.state === 'retrying' ? 'failed-send' : record.state,
      attempts: record.attempts,
      firstSentAt: record.firstSentAt,
      dueAt: 0,
      sentAt: undefined,
    };
    this.#byId.set(item.id, item);
    const list = this.#byConversation.get(item.conversation) ?? [];
    let at = list.length;
    while (at > 0 && (list[at - 1]?.order ?? 0) > item.order) at--;
    list.splice(at, 0, item);
    this.#byConversation.set(item.conversation, list);
  }

  /** Stored, cancelled or given up. */
  remove(id: string): void {
    const item = this.#byId.get(id);
    if (item === undefined) return;
    this.#byId.delete(id);
    const left = (this.#byConversation.get(item.conversation) ?? []).filter((other) => other !== item);
    if (left.length === 0) this.#byConversation.delete(item.conversation);
    else this.#byConversation.set(item.conversation, left);
  }

  connected(): void {
    this.#connected = true;
    this.#pausedUntil = 0;
  }

  /** @returns what was under way: each is now `failed-send`, due as soon as there is a connection again */
  disconnected(): QueueItem[] {
    this.#connected = false;
    const failed: QueueItem[] = [];
    for (const item of this.#byId.values()) {
      const underWay = item.sentAt !== undefined;
      item.sentAt = undefined;
      if (item.state === 'accepted') item.dueAt = 0;
      else if (underWay) {
        item.state = 'failed-send';
        item.dueAt = 0;
        failed.push(item);
      }
    }
    return failed;
  }

  /** What to send now, in order; marks it as under way. */
  take(now: number): QueueItem[] {
    if (!this.#connected || now < this.#pausedUntil) return [];
    const taken: QueueItem[] = [];
    let room = this.#options.maxInFlight - this.#underWay();
    for (const list of this.#byConversation.values()) {
      if (room <= 0) break;
      for (const item of list) {
        // An accepted one waits for `stored` and holds nobody back; it is sent again only to ask.
        const ready = item.sentAt === undefined && item.dueAt <= now;
        if (ready) {
          this.#send(item, now);
          taken.push(item);
          room--;
        }
        if (item.state !== 'accepted' || room <= 0) break;
      }
    }
    return taken.sort((a, b) => a.order - b.order);
  }

  /** @returns whether this is news */
  accepted(id: string, now: number): boolean {
    const item = this.#byId.get(id);
    if (item === undefined || item.state === 'accepted') return false;
    item.state = 'accepted';
    item.sentAt = undefined;
    item.dueAt = now + this.#options.storeTimeoutMs;
    return true;
  }

  /** @returns the state that follows, or undefined where the message is unknown */
  rejected(
    id: string,
    refusal: { retryable: boolean; retryAfterMs?: number; pause?: boolean },
    now: number,
    random: number,
  ): OutboxState | undefined {
    const item = this.#byId.get(id);
    if (item === undefined) return undefined;
    item.sentAt = undefined;
    if (!refusal.retryable || item.attempts >= this.#options.maxAttempts) {
      this.remove(id);
      return 'rejected';
    }
    item.dueAt = now + backoffMs(item.attempts, random, this.#options.backoff, refusal.retryAfterMs ?? 0);
    if (refusal.pause) this.#pausedUntil = Math.max(this.#pausedUntil, item.dueAt);
    if (item.state !== 'accepted') item.state = 'failed-send';
    return item.state;
  }

  /** @returns what got no answer in time; each is due again after a backoff */
  timedOut(now: number, random: () => number): QueueItem[] {
    const late = [...this.#byId.values()].filter(
      (item) => item.sentAt !== undefined && now - item.sentAt >= this.#options.acceptTimeoutMs,
    );
    for (const item of late) {
      item.sentAt = undefined;
      item.dueAt = now + backoffMs(item.attempts, random(), this.#options.backoff);
      if (item.state !== 'accepted') item.state = 'failed-send';
    }
    return late;
  }

  /** By hand: send at once what waits for its time. */
  hurry(id?: string): void {
    this.#pausedUntil = 0;
    for (const item of this.#byId.values()) if (id === undefined || item.id === id) item.dueAt = 0;
  }

  /** When to look again; undefined where only an event can change anything. */
  nextWakeAt(): number | undefined {
    if (!this.#connected) return undefined;
    let wake: number | undefined;
    const consider = (at: number): void => {
      wake = wake === undefined ? at : Math.min(wake, at);
    };
    for (const list of this.#byConversation.values()) {
      for (const item of list) {
        if (item.sentAt !== undefined) consider(item.sentAt + this.#options.acceptTimeoutMs);
        else consider(Math.max(item.dueAt, this.#pausedUntil));
        if (item.state !== 'accepted') break;
      }
    }
    return wake;
  }

  #send(item: QueueItem, now: number): void {
    if (item.state !== 'accepted') item.state = item.attempts === 0 ? 'sending' : 'retrying';
    item.attempts++;
    item.firstSentAt ??= now;
    item.sentAt = now;
  }

  #underWay(): number {
    let count = 0;
    for (const item of this.#byId.values()) if (item.sentAt !== undefined) count++;
    return count;
  }
}
