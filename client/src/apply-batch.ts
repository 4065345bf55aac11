import { fromHistory, fromMembers, fromOutbox, problemOf } from './entry-records.ts';
import {
  type GapEntry,
  type HistoryItem,
  type HistoryMessage,
  type InboxEntry,
  MAX_GAP_CONVERSATIONS,
  type MembersEntry,
  type ReceiptFrame,
  type StoredFrame,
} from './protocol.ts';
import { type Applied, countUnread, type Decoded, EMPTY_CONVERSATION, EVERYTHING, type Step } from './steps.ts';
import type { ConversationRecord, Inbox, MessageRecord, ReceiptRecord } from './store/records.ts';
import type { Transaction } from './store/store.ts';

/** One transaction's worth of steps: what they change of a conversation is gathered and written once, at the end. */
export class Batch {
  readonly applied: Applied = { nacks: [], topics: new Set(), stored: [], pull: false, groups: new Set() };
  readonly #tx: Transaction;
  readonly #me: string;
  readonly #conversations = new Map<string, ConversationRecord>();
  readonly #changed = new Set<string>();
  /** Messages that are in the store, of those that the steps bring: `<from>/<id>`. */
  readonly #known = new Set<string>();
  #inbox: Inbox | undefined;
  #inboxChanged = false;
  #arrival = 0;
  #arrivalBefore = 0;

  constructor(tx: Transaction, me: string) {
    this.#tx = tx;
    this.#me = me;
  }

  async begin(steps: readonly Step[]): Promise<void> {
    // Asked for together: one after another, a thousand lookups would take longer than all the rest.
    const entries = steps.flatMap((step) => (step.kind === 'entry' && step.entry.t === 'message' ? [step.entry] : []));
    const lookups = entries.map(async ({ from, id, conversation, position }) => {
      const [byId, inPlace] = await Promise.all([
        this.#tx.range('messages', { index: 'byId', prefix: [from, id], limit: 1 }),
        // A page of history may have brought its tombstone, which has no id.
        Number.isSafeInteger(position) ? this.#tx.get('messages', [conversation, position]) : undefined,
      ]);
      if (byId.length > 0 || inPlace !== undefined) this.#known.add(`${from}/${id}`);
    });
    await Promise.all(lookups);
    this.#inbox = (await this.#tx.get('meta', ['inbox']))?.value as Inbox | undefined;
    this.#arrival = ((await this.#tx.get('meta', ['arrival']))?.value as number | undefined) ?? 0;
    this.#arrivalBefore = this.#arrival;
  }

  async apply(step: Step): Promise<void> {
    switch (step.kind) {
      case 'entry':
        return this.#entry(step.entry, step.decoded);
      case 'stored':
        return this.#stored(step.frame);
      case 'receipt':
        return this.#receipt(step.frame);
      case 'inbox':
        return this.#moved(step.inbox);
      case 'outbox':
        return this.#outbox(step);
    }
  }

  async end(): Promise<void> {
    for (const id of this.#changed) await this.#tx.put('conversations', await this.#conversation(id));
    if (this.#arrival !== this.#arrivalBefore) await this.#tx.put('meta', { key: 'arrival', value: this.#arrival });
    if (this.#inboxChanged) await this.#tx.put('meta', { key: 'inbox', value: this.#inbox });
  }

  async history(item: HistoryItem, decoded: Decoded, arrives: boolean): Promise<void> {
    const known = await this.#tx.get('messages', [item.conversation, item.position]);
    if (known !== undefined) {
      if (item.t === 'deleted') await this.#delete(item.conversation, item.position, item.by, item.at);
      return;
    }
    const record = fromHistory(item, decoded);
    const arrived = arrives && record.deleted === undefined;
    await this.#tx.put('messages', arrived ? { ...record, arrival: ++this.#arrival } : record);
    if (arrived) this.applied.topics.add('arrivals');
    if (record.from === this.#me) await this.#leaveOutbox(record.id);
    await this.#raise(record);
  }

  async recount(conversations: readonly string[]): Promise<void> {
    for (const id of conversations) {
      const record = await this.#conversation(id);
      this.#set({ ...record, unread: await countUnread(this.#tx, id, record.read, this.#me) });
    }
  }

  async #entry(entry: InboxEntry, decoded: Decoded | undefined): Promise<void> {
    const inbox = this.#inbox;
    // Of a generation that has ended: its seqs mean nothing any more.
    if (inbox === undefined || entry.gen !== inbox.gen) return;
    if (entry.seq > inbox.acked) {
      const problem = problemOf(entry);
      if (problem === undefined) await this.#content(entry, decoded);
      else this.applied.nacks.push({ gen: entry.gen, seq: entry.seq, reason: problem });
      this.#inbox = { gen: entry.gen, acked: entry.seq };
      this.#inboxChanged = true;
    }
    this.applied.ack = {
      gen: entry.gen,
      seq: Math.max(entry.seq, this.applied.ack?.gen === entry.gen ? this.applied.ack.seq : 0),
    };
  }

  async #content(entry: InboxEntry, decoded: Decoded | undefined): Promise<void> {
    if (entry.t === 'message') return this.#message(entry, decoded ?? { body: entry.body });
    if (entry.t === 'deleted') return this.#delete(entry.conversation, entry.position, entry.by, entry.at);
    if (entry.t === 'members') return this.#members(entry);
    return this.#gap(entry);
  }

  async #message(entry: HistoryMessage, decoded: Decoded): Promise<void> {
    const key = `${entry.from}/${entry.id}`;
    if (entry.from === this.#me) await this.#leaveOutbox(entry.id);
    if (this.#known.has(key)) return this.#synced(entry.conversation, entry.position);
    this.#known.add(key);
    const record = { ...fromHistory(entry, decoded), arrival: ++this.#arrival };
    await this.#tx.put('messages', record);
    await this.#raise(record);
    await this.#synced(entry.conversation, entry.position);
    const conversation = await this.#conversation(entry.conversation);
    if (record.from !== this.#me && record.position > conversation.read)
      this.#set({ ...conversation, unread: conversation.unread + 1 });
    this.applied.topics.add('arrivals');
  }

  async #delete(conversation: string, position: number, by: string, at: number): Promise<void> {
    const known = await this.#tx.get('messages', [conversation, position]);
    // Never seen here: the history, where it comes from some day, has the tombstone.
    if (known === undefined || known.deleted !== undefined) return;
    const { attachments: _, ...rest } = known;
    await this.#tx.put('messages', { ...rest, body: '', deleted: { by, at } });
    const record = await this.#conversation(conversation);
    const unread = known.from !== this.#me && position > record.read ? Math.max(0, record.unread - 1) : record.unread;
    const preview =
      record.preview?.position === position ? { ...record.preview, body: '', deleted: true as const } : record.preview;
    this.#set({ ...record, unread, ...(preview === undefined ? {} : { preview }) });
  }

  async #members(entry: MembersEntry): Promise<void> {
    const record = await this.#conversation(entry.conversation);
    this.applied.groups.add(entry.conversation);
    const members = record.members?.filter((user) => !entry.removed?.includes(user)).concat(entry.added ?? []);
    this.#set({
      ...record,
      updatedAt: Math.max(record.updatedAt, entry.at),
      ...(members === undefined ? {} : { members: [...new Set(members)] }),
    });
    if (entry.position === undefined) return;
    const line = fromMembers(entry, entry.position);
    await this.#tx.put('messages', line);
    await this.#synced(entry.conversation, entry.position);
  }

  async #gap(entry: GapEntry): Promise<void> {
    const named = entry.conversations ?? [];
    const all = named.length === 0 || named.length >= MAX_GAP_CONVERSATIONS;
    await this.#pull(all ? [EVERYTHING] : named);
  }

  async #moved(inbox: Inbox): Promise<void> {
    const before = this.#inbox;
    // The server has moved on without us (another copy of this device's store acked) or starts anew: what is missing is in the history.
    if (before !== undefined && (before.gen !== inbox.gen || inbox.acked > before.acked))
      await this.#pull([EVERYTHING]);
    if (before !== undefined && before.gen === inbox.gen && inbox.acked <= before.acked) return;
    this.#inbox = inbox;
    this.#inboxChanged = true;
  }

  async #pull(conversations: readonly string[]): Promise<void> {
    for (const conversation of conversations) {
      if ((await this.#tx.get('pulls', [conversation])) !== undefined) continue;
      const known = conversation === EVERYTHING ? undefined : await this.#conversation(conversation);
      await this.#tx.put('pulls', { conversation, after: known?.syncedTo ?? 0 });
    }
    if (conversations.includes(EVERYTHING)) await this.#freezeSync();
    this.applied.pull = true;
  }

  /** A pull of everything begins, for each conversation, where it stood now and not where later entries move it. */
  async #freezeSync(): Promise<void> {
    for (const record of await this.#tx.range('conversations', { limit: Number.MAX_SAFE_INTEGER })) {
      if (record.syncedTo === 0 || (await this.#tx.get('pulls', [record.id])) !== undefined) continue;
      const current = this.#conversations.get(record.id) ?? record;
      await this.#tx.put('pulls', { conversation: record.id, after: current.syncedTo });
    }
  }

  async #stored(frame: StoredFrame): Promise<void> {
    const [queued] = await this.#tx.range('outbox', { index: 'byId', prefix: [frame.id], limit: 1 });
    this.applied.stored.push(frame.id);
    if (queued === undefined) return;
    if (queued.deletes !== undefined) await this.#delete(frame.conversation, queued.deletes, this.#me, frame.at);
    else {
      const known = await this.#tx.get('messages', [frame.conversation, frame.position]);
      if (known === undefined) {
        const record = fromOutbox(queued, frame, this.#me);
        await this.#tx.put('messages', record);
        await this.#raise(record);
      }
    }
    await this.#leaveOutbox(frame.id);
    this.applied.topics.add(frame.conversation);
  }

  async #receipt(frame: ReceiptFrame): Promise<void> {
    const { conversation, user } = frame;
    const known: ReceiptRecord = (await this.#tx.get('receipts', [conversation, user])) ?? {
      conversation,
      user,
      delivered: 0,
      read: 0,
    };
    const delivered = Math.max(known.delivered, frame.delivered ?? 0, frame.read ?? 0);
    const read = Math.max(known.read, frame.read ?? 0);
    if (delivered === known.delivered && read === known.read) return;
    await this.#tx.put('receipts', { conversation, user, delivered, read });
    this.applied.topics.add(conversation);
    if (user !== this.#me) return;
    const record = await this.#conversation(conversation);
    if (read > record.read)
      this.#set({ ...record, read, unread: await countUnread(this.#tx, conversation, read, this.#me) });
  }

  async #outbox(step: Step & { kind: 'outbox' }): Promise<void> {
    const [record] = await this.#tx.range('outbox', { index: 'byId', prefix: [step.id], limit: 1 });
    const state = step.state();
    if (record === undefined || state === undefined) return;
    const { error: _, ...rest } = record;
    await this.#tx.put('outbox', { ...rest, state, ...(step.error === undefined ? {} : { error: step.error }) });
    this.applied.topics.add('outbox').add(record.conversation);
  }

  async #leaveOutbox(id: string): Promise<void> {
    const [queued] = await this.#tx.range('outbox', { index: 'byId', prefix: [id], limit: 1 });
    if (queued === undefined) return;
    await this.#tx.delete('outbox', [queued.order]);
    this.applied.stored.push(id);
    this.applied.topics.add('outbox').add(queued.conversation);
  }

  /** The newest message of a conversation is what its list shows. */
  async #raise(record: MessageRecord): Promise<void> {
    const conversation = await this.#conversation(record.conversation);
    this.applied.topics.add(record.conversation);
    if (conversation.members === undefined && record.conversation.startsWith('grp:'))
      this.applied.groups.add(record.conversation);
    const oldest = conversation.oldest === undefined ? { oldest: record.position } : {};
    // The list of conversations may have told the newest position before its message came, or that of something else.
    if (record.position < (conversation.preview?.position ?? 0)) return this.#set({ ...conversation, ...oldest });
    const preview = {
      position: record.position,
      from: record.from,
      body: record.body.slice(0, 200),
      kind: record.kind,
      ...(record.deleted ? { deleted: true as const } : {}),
    };
    this.#set({
      ...conversation,
      ...oldest,
      lastPosition: Math.max(record.position, conversation.lastPosition),
      updatedAt: Math.max(record.storedAt ?? record.sentAt, conversation.updatedAt),
      preview,
    });
  }

  async #synced(id: string, position: number): Promise<void> {
    const conversation = await this.#conversation(id);
    if (position > conversation.syncedTo) this.#set({ ...conversation, syncedTo: position });
  }

  async #conversation(id: string): Promise<ConversationRecord> {
    const cached = this.#conversations.get(id);
    if (cached !== undefined) return cached;
    const record = (await this.#tx.get('conversations', [id])) ?? { id, ...EMPTY_CONVERSATION };
    this.#conversations.set(id, record);
    return record;
  }

  #set(record: ConversationRecord): void {
    this.#conversations.set(record.id, record);
    this.#changed.add(record.id);
    this.applied.topics.add('conversations').add(record.id);
  }
}
