import type { Puller } from './puller.ts';
import type { Store } from './store/store.ts';

const FIRST_PAGE = 50;

/** Fetches what screens show and the socket doesn't bring: the list of conversations, a first page, receipts, members. */
export class Screens {
  readonly #store: Store;
  readonly #puller: Puller;
  /** Runs and reports. @returns whether it worked */
  readonly #attempt: (work: () => Promise<unknown>) => Promise<boolean>;
  /** Conversations that are on a screen, and on how many. */
  readonly #open = new Map<string, number>();
  #started = false;
  #listed = false;

  constructor(store: Store, puller: Puller, attempt: (work: () => Promise<unknown>) => Promise<boolean>) {
    this.#store = store;
    this.#puller = puller;
    this.#attempt = attempt;
  }

  start(): void {
    this.#started = true;
  }

  /** @returns to be called when it is no longer shown */
  opened(conversation: string): () => void {
    this.#open.set(conversation, (this.#open.get(conversation) ?? 0) + 1);
    if (this.#started) void this.#refresh(conversation);
    return () => {
      const left = (this.#open.get(conversation) ?? 1) - 1;
      if (left === 0) this.#open.delete(conversation);
      else this.#open.set(conversation, left);
    };
  }

  /** At each new connection. */
  async refreshAll(): Promise<void> {
    if (!this.#listed) this.#listed = await this.#attempt(() => this.#puller.refreshConversations());
    for (const conversation of this.#open.keys()) await this.#refresh(conversation);
  }

  async #refresh(conversation: string): Promise<void> {
    const record = await this.#store
      .transaction('read', (tx) => tx.get('conversations', [conversation]))
      .catch(() => undefined);
    // Not known here, nor to the server when it gave the list: a new one.
    if (record === undefined || record.lastPosition === 0) return;
    if (await this.#hasLittle(conversation))
      await this.#attempt(() => this.#puller.loadOlder(conversation, FIRST_PAGE));
    if (conversation.startsWith('grp:') && record.members === undefined)
      await this.#attempt(() => this.#puller.refreshGroup(conversation));
    await this.#attempt(() => this.#puller.refreshReceipts(conversation));
  }

  /** Less than a screen is here, and there may be more. */
  async #hasLittle(conversation: string): Promise<boolean> {
    return this.#store.transaction('read', async (tx) => {
      const record = await tx.get('conversations', [conversation]);
      if (record?.complete) return false;
      return (await tx.range('messages', { prefix: [conversation], limit: FIRST_PAGE })).length < FIRST_PAGE;
    });
  }
}
