import { countUnread, EMPTY_CONVERSATION } from './steps.ts';
import type { Store } from './store/store.ts';

type Positions = Record<string, number>;

/** How far the user has read, and what of it the server may not know. A `read` has no answer, so it waits for a pong. */
export class Reads {
  readonly #store: Store;
  readonly #user: string;
  #sent: Positions = {};

  constructor(store: Store, user: string) {
    this.#store = store;
    this.#user = user;
  }

  /** @returns whether that is further than before */
  mark(conversation: string, position: number | undefined): Promise<boolean> {
    return this.#store.transaction('write', async (tx) => {
      const record = (await tx.get('conversations', [conversation])) ?? { id: conversation, ...EMPTY_CONVERSATION };
      const [newest] = await tx.range('messages', { prefix: [conversation], reverse: true, limit: 1 });
      const read = Math.min(position ?? Number.POSITIVE_INFINITY, newest?.position ?? 0);
      if (read <= record.read) return false;
      await tx.put('conversations', { ...record, read, unread: await countUnread(tx, conversation, read, this.#user) });
      const waiting = ((await tx.get('meta', ['reads']))?.value ?? {}) as Positions;
      await tx.put('meta', { key: 'reads', value: { ...waiting, [conversation]: read } });
      return true;
    });
  }

  /** What to say on this connection; each once, unless it moves on. */
  async take(): Promise<[conversation: string, position: number][]> {
    const waiting = await this.#store.transaction(
      'read',
      async (tx) => ((await tx.get('meta', ['reads']))?.value ?? {}) as Positions,
    );
    const news = Object.entries(waiting).filter(
      ([conversation, position]) => (this.#sent[conversation] ?? 0) < position,
    );
    for (const [conversation, position] of news) this.#sent[conversation] = position;
    return news;
  }

  /** The server has answered something that was sent after the reads: it has them. */
  async confirmed(): Promise<void> {
    const sent = this.#sent;
    if (Object.keys(sent).length === 0) return;
    await this.#store.transaction('write', async (tx) => {
      const waiting = ((await tx.get('meta', ['reads']))?.value ?? {}) as Positions;
      const left = Object.entries(waiting).filter(([conversation, position]) => position > (sent[conversation] ?? 0));
      await tx.put('meta', { key: 'reads', value: Object.fromEntries(left) });
    });
  }

  disconnected(): void {
    this.#sent = {};
  }
}
