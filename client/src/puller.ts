import { applyHistory } from './apply-frames.ts';
import { backoffMs } from './backoff.ts';
import { type BodyCodec, decodeBody } from './codec.ts';
import type { Environment } from './environment.ts';
import { RestanteError } from './errors.ts';
import type { ConversationSummary, Group, Http } from './http.ts';
import type { HistoryItem } from './protocol.ts';
import { countUnread, EMPTY_CONVERSATION, EVERYTHING } from './steps.ts';
import type { ConversationRecord, PullRecord } from './store/records.ts';
import type { Store, Transaction } from './store/store.ts';

export type PullerOptions = {
  store: Store;
  user: string;
  codec: BodyCodec | undefined;
  environment: Environment;
  http: Http;
  onChanged: (topics: Iterable<string>) => void;
  onError: (error: unknown) => void;
};

const PAGE = 100;

/** Fetches what the socket doesn't bring: history after a gap, older pages, the list of conversations, receipts. */
export class Puller {
  readonly #options: PullerOptions;
  #running = false;
  #again = false;
  #failures = 0;
  #closed = false;
  #cancelRetry: () => void = () => {};

  constructor(options: PullerOptions) {
    this.#options = options;
  }

  /** Does the pulls that the store remembers, one after another; a failed one is tried again later. */
  async run(): Promise<void> {
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    this.#cancelRetry();
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        for (;;) {
          const [pull] = await this.#options.store.transaction('read', (tx) => tx.range('pulls', { limit: 1 }));
          if (pull === undefined || this.#closed) break;
          await this.#pull(pull);
          this.#failures = 0;
        }
      }
    } catch (error) {
      if (!this.#closed) this.#retry(error);
    } finally {
      this.#running = false;
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry();
  }

  /** The page before what is here; the newest where nothing is. @returns whether there may be more */
  async loadOlder(conversation: string, limit: number): Promise<boolean> {
    const { store, http } = this.#options;
    const known = await store.transaction('read', (tx) => tx.get('conversations', [conversation]));
    if (known?.complete) return false;
    const page = await http.history(conversation, {
      limit,
      ...(known?.oldest === undefined ? {} : { before: known.oldest }),
    });
    await this.#save(page.messages, false, async (tx) => {
      const record = (await tx.get('conversations', [conversation])) ?? { id: conversation, ...EMPTY_CONVERSATION };
      const oldest = Math.min(
        record.oldest ?? Number.POSITIVE_INFINITY,
        page.messages[0]?.position ?? Number.POSITIVE_INFINITY,
      );
      await tx.put('conversations', {
        ...record,
        ...(Number.isFinite(oldest) ? { oldest } : {}),
        ...(page.more ? {} : { complete: true }),
      });
    });
    this.#options.onChanged([conversation, 'conversations']);
    return page.more;
  }

  /** Brings the list of conversations up to date. @returns how far each goes */
  async refreshConversations(): Promise<ConversationSummary[]> {
    const { http, store, user, onChanged } = this.#options;
    const all: ConversationSummary[] = [];
    let after: string | undefined;
    do {
      const page = await http.conversations(PAGE, after);
      all.push(...page.conversations);
      await store.transaction('write', async (tx) => {
        for (const summary of page.conversations) await mergeSummary(tx, summary, user);
      });
      after = page.next;
    } while (after !== undefined);
    onChanged(['conversations', ...all.map(({ id }) => id)]);
    return all;
  }

  async refreshGroup(id: string): Promise<Group> {
    const group = await this.#options.http.conversation(id);
    await this.saveGroup(group);
    return group;
  }

  async saveGroup(group: Group): Promise<void> {
    await this.#options.store.transaction('write', async (tx) => {
      const record = (await tx.get('conversations', [group.id])) ?? {
        id: group.id,
        ...EMPTY_CONVERSATION,
        updatedAt: this.#options.environment.clock.now(),
      };
      const title = group.title === undefined ? {} : { title: group.title };
      await tx.put('conversations', { ...record, ...title, members: group.members.map(({ user }) => user) });
    });
    this.#options.onChanged(['conversations', group.id]);
  }

  /** Receipts that were pushed while nobody was connected here. */
  async refreshReceipts(conversation: string): Promise<void> {
    const { http, store, onChanged } = this.#options;
    const { receipts } = await http.receipts(conversation);
    await store.transaction('write', async (tx) => {
      for (const { user, delivered, read } of receipts) {
        const known = await tx.get('receipts', [conversation, user]);
        await tx.put('receipts', {
          conversation,
          user,
          delivered: Math.max(delivered, known?.delivered ?? 0),
          read: Math.max(read, known?.read ?? 0),
        });
      }
    });
    onChanged([conversation]);
  }

  async #pull(pull: PullRecord): Promise<void> {
    const { store, http } = this.#options;
    if (pull.conversation === EVERYTHING) return this.#pullEverything();
    const done = (tx: Transaction) => tx.delete('pulls', [pull.conversation]);
    try {
      // Nothing was here: the newest page is enough, what is older comes when it is asked for.
      const page = await http.history(
        pull.conversation,
        pull.after === 0 ? { limit: PAGE } : { after: pull.after, limit: PAGE },
      );
      const last = page.messages[page.messages.length - 1]?.position;
      await this.#save(page.messages, true, async (tx) => {
        if (pull.after === 0 || !page.more || last === undefined) await done(tx);
        else await tx.put('pulls', { ...pull, after: last });
        const record = await tx.get('conversations', [pull.conversation]);
        if (record !== undefined && last !== undefined)
          await tx.put('conversations', pulledTo(record, page.messages[0]?.position, last, pull.after === 0));
      });
    } catch (error) {
      if (
        !(error instanceof RestanteError) ||
        error.canRetry ||
        error.code === 'no_token' ||
        error.code === 'unauthorized'
      )
        throw error;
      // No member any more: there is nothing to fetch.
      await store.transaction('write', done);
    }
  }

  async #pullEverything(): Promise<void> {
    const summaries = await this.refreshConversations();
    await this.#options.store.transaction('write', async (tx) => {
      for (const { id, lastPosition } of summaries) {
        const record = await tx.get('conversations', [id]);
        const behind = lastPosition > (record?.syncedTo ?? 0) && lastPosition > 0;
        if (behind && (await tx.get('pulls', [id])) === undefined)
          await tx.put('pulls', { conversation: id, after: record?.syncedTo ?? 0 });
      }
      await tx.delete('pulls', [EVERYTHING]);
    });
  }

  async #save(
    messages: readonly HistoryItem[],
    arrives: boolean,
    then: (tx: Transaction) => Promise<void>,
  ): Promise<void> {
    const { store, codec, user, onChanged } = this.#options;
    const decoded = await Promise.all(
      messages.map(async (item) => (item.t === 'deleted' ? { body: '' } : decodeBody(codec, item.body, item))),
    );
    const topics = await store.transaction('write', async (tx) => {
      const changed = await applyHistory(tx, messages, decoded, user, arrives);
      await then(tx);
      return changed;
    });
    onChanged(topics);
  }

  #retry(error: unknown): void {
    const { environment, onError } = this.#options;
    onError(error);
    const atLeast = error instanceof RestanteError ? (error.retryAfterMs ?? 0) : 0;
    const wait = backoffMs(++this.#failures, environment.random(), undefined, atLeast);
    this.#cancelRetry = environment.clock.after(wait, () => void this.run());
  }
}

function pulledTo(
  record: ConversationRecord,
  first: number | undefined,
  last: number,
  whole: boolean,
): ConversationRecord {
  const oldest = whole && first !== undefined ? { oldest: Math.min(first, record.oldest ?? first) } : {};
  return { ...record, ...oldest, syncedTo: Math.max(record.syncedTo, last) };
}

/** The server counts what isn't here; where the local history reaches back to what was read, its own count is exact. */
async function mergeSummary(tx: Transaction, summary: ConversationSummary, me: string): Promise<void> {
  const record = (await tx.get('conversations', [summary.id])) ?? { id: summary.id, ...EMPTY_CONVERSATION };
  const read = Math.max(record.read, summary.read);
  const here = await countUnread(tx, summary.id, read, me);
  const whole = record.oldest !== undefined && (record.complete === true || record.oldest <= read + 1);
  const unread = whole || record.read > summary.read ? here : Math.max(here, summary.unread);
  const title = summary.title === undefined ? {} : { title: summary.title };
  const updatedAt = Math.max(record.updatedAt, summary.updatedAt);
  await tx.put('conversations', {
    ...record,
    ...title,
    read,
    unread,
    updatedAt,
    lastPosition: Math.max(record.lastPosition, summary.lastPosition),
  });
}
