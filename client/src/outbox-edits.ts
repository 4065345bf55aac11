import { RestanteError } from './errors.ts';
import { type Attachment, MAX_ATTACHMENTS, MAX_BODY_BYTES, MAX_FRAME_BYTES, utf8Bytes } from './protocol.ts';
import type { OutboxRecord } from './store/records.ts';
import { nextCount, type Store } from './store/store.ts';

export type SendOptions = {
  /** What the body is; `text` where not given. `[A-Za-z0-9_.-]{1,32}`. */
  kind?: string;
  /** Id of the message that this one answers. */
  replyTo?: string;
  /** At most 10 references to files. */
  attachments?: Attachment[];
  /** Not delivered later than this many seconds after it was stored. */
  ttlSeconds?: number;
  /** False lets the push wait up to 20 minutes. */
  urgent?: boolean;
};

/**
 * What a try to take a message back came to: `cancelled`, it was never sent; `unknown`, it was tried, is not tried again,
 * but may have got through; `too-late`, the server has it (delete it instead).
 */
export type CancelResult = 'cancelled' | 'unknown' | 'too-late';

/** What the user does to the outbox: each is one transaction, so that a crash leaves it done or not. */
export class OutboxEdits {
  readonly #store: Store;
  readonly #maxOutbox: number;

  constructor(store: Store, maxOutbox: number) {
    this.#store = store;
    this.#maxOutbox = maxOutbox;
  }

  /** @throws RestanteError `outbox_full`, `too_large`, `bad_field`: nothing was saved then */
  async enqueue(
    draft: { id: string; conversation: string; body: string; createdAt: number; deletes?: number } & SendOptions,
  ): Promise<OutboxRecord> {
    check(draft);
    return this.#store.transaction('write', async (tx) => {
      const waiting = await tx.range('outbox', { limit: 1, reverse: true });
      const first = await tx.range('outbox', { limit: 1 });
      const span = (waiting[0]?.order ?? 0) - (first[0]?.order ?? 0);
      if (span >= this.#maxOutbox)
        throw new RestanteError('outbox_full', `${this.#maxOutbox} messages wait already`, { canRetry: true });
      const record: OutboxRecord = { ...draft, order: await nextCount(tx, 'order'), state: 'created', attempts: 0 };
      await tx.put('outbox', record);
      return record;
    });
  }

  /** @returns undefined where no such message waits */
  cancel(id: string): Promise<CancelResult | undefined> {
    return this.#store.transaction('write', async (tx) => {
      const [record] = await tx.range('outbox', { index: 'byId', prefix: [id], limit: 1 });
      if (record === undefined) return undefined;
      if (record.state === 'accepted') return 'too-late';
      await tx.delete('outbox', [record.order]);
      return record.attempts === 0 || record.state === 'rejected' ? 'cancelled' : 'unknown';
    });
  }

  /**
   * Makes a refused message wait again, at the end of the queue.
   * @param freshId for one whose id belongs to another message
   * @returns undefined where it wasn't refused
   */
  revive(id: string, freshId: string): Promise<OutboxRecord | undefined> {
    return this.#store.transaction('write', async (tx) => {
      const [record] = await tx.range('outbox', { index: 'byId', prefix: [id], limit: 1 });
      if (record === undefined || record.state !== 'rejected') return undefined;
      await tx.delete('outbox', [record.order]);
      const taken = record.error?.code === 'duplicate_conflict';
      const { error: _, firstSentAt: __, wire, ...rest } = record;
      // The codec binds its work to the id.
      const kept = wire === undefined || taken ? {} : { wire };
      const revived: OutboxRecord = {
        ...rest,
        ...kept,
        id: taken ? freshId : id,
        order: await nextCount(tx, 'order'),
        state: 'created',
        attempts: 0,
      };
      await tx.put('outbox', revived);
      return revived;
    });
  }
}

/** What the server would refuse for ever is refused here, where the caller hears it. */
function check(draft: { id: string; conversation: string; body: string } & SendOptions): void {
  if (utf8Bytes(draft.body) > MAX_BODY_BYTES)
    throw new RestanteError('too_large', `the body is over ${MAX_BODY_BYTES} bytes`);
  if ((draft.attachments?.length ?? 0) > MAX_ATTACHMENTS)
    throw new RestanteError('bad_field', `more than ${MAX_ATTACHMENTS} attachments`);
  if (!/^(dm:[A-Za-z0-9_.@-]{1,128}:[A-Za-z0-9_.@-]{1,128}|grp:[A-Za-z0-9_-]{1,64})$/.test(draft.conversation)) {
    throw new RestanteError('bad_field', `no such conversation name: ${draft.conversation}`);
  }
  if (!/^[A-Za-z0-9_-]{8,64}$/.test(draft.id))
    throw new RestanteError('bad_field', 'the id must match [A-Za-z0-9_-]{8,64}');
  if (utf8Bytes(JSON.stringify(draft)) > MAX_FRAME_BYTES)
    throw new RestanteError('too_large', `the frame is over ${MAX_FRAME_BYTES} bytes`);
}
