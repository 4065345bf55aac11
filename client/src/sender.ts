import type { BodyCodec } from './codec.ts';
import type { Environment } from './environment.ts';
import { RestanteError } from './errors.ts';
import type { Http } from './http.ts';
import type { Intake } from './intake.ts';
import type { OutboxQueue, QueueItem } from './outbox-queue.ts';
import type { DeleteFrame, RejectedFrame, SendFrame } from './protocol.ts';
import type { OutboxRecord } from './store/records.ts';
import type { Store } from './store/store.ts';

export type SenderOptions = {
  store: Store;
  user: string;
  codec: BodyCodec | undefined;
  environment: Environment;
  queue: OutboxQueue;
  intake: Intake;
  http: Http;
  send: (frame: SendFrame | DeleteFrame) => boolean;
  onChanged: (topics: Iterable<string>) => void;
  onError: (error: unknown) => void;
};

/** The server remembers ids for 7 days: what was tried longer ago is asked for first, so that it isn't sent twice. */
const ASK_FIRST_AFTER_MS = 6 * 24 * 3600 * 1000;
const LOADED_AT_ONCE = 500;

/** Takes the outbox to the server: what the queue says is due is marked in the store, then written to the socket. */
export class Sender {
  readonly #options: SenderOptions;
  #loadedTo = 0;
  #connection = 0;
  #connected = false;
  #pumping = false;
  #again = false;
  #cancelWake: () => void = () => {};

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Takes in what the outbox holds that it doesn't know: all of it at first, then what other tabs have added. */
  async load(): Promise<void> {
    const { store, queue } = this.#options;
    for (;;) {
      const records = await store.transaction('read', (tx) =>
        tx.range('outbox', { after: this.#loadedTo, limit: LOADED_AT_ONCE }),
      );
      for (const record of records) queue.add(record);
      this.#loadedTo = Math.max(this.#loadedTo, records[records.length - 1]?.order ?? 0);
      if (records.length < LOADED_AT_ONCE) break;
    }
    this.wake();
  }

  /** A record that the store already has. */
  add(record: OutboxRecord): void {
    // Only in order: one that another tab has added before is still to be loaded.
    if (record.order === this.#loadedTo + 1) {
      this.#options.queue.add(record);
      this.#loadedTo = record.order;
      this.wake();
    } else void this.load().catch(this.#options.onError);
  }

  /** Was changed by hand: read again what the store says of it. */
  async reload(id: string): Promise<void> {
    const { store, queue } = this.#options;
    const [record] = await store.transaction('read', (tx) =>
      tx.range('outbox', { index: 'byId', prefix: [id], limit: 1 }),
    );
    if (record === undefined) queue.remove(id);
    else if (queue.item(id) === undefined) queue.add(record);
    queue.hurry(id);
    this.wake();
  }

  connected(connection: number): void {
    this.#connection = connection;
    this.#connected = true;
    this.#options.queue.connected();
    this.wake();
  }

  disconnected(): void {
    this.#connected = false;
    this.#cancelWake();
    this.#record(this.#options.queue.disconnected());
  }

  accepted(id: string): void {
    const { queue, environment, intake } = this.#options;
    if (!queue.accepted(id, environment.clock.now())) return;
    intake.add(this.#connection, { kind: 'outbox', id, state: () => queue.item(id)?.state });
    this.wake();
  }

  rejected({ id, code, message, retryable, retryAfterMs }: RejectedFrame): void {
    const { queue, environment, intake } = this.#options;
    const pause = code === 'rate_limited' || code === 'overloaded';
    const refusal = { retryable, pause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    const state = queue.rejected(id, refusal, environment.clock.now(), environment.random());
    if (state !== undefined)
      intake.add(this.#connection, {
        kind: 'outbox',
        id,
        state: () => queue.item(id)?.state ?? state,
        error: { code, message },
      });
    this.wake();
  }

  /** It is in the history. */
  stored(id: string): void {
    this.#options.queue.remove(id);
    this.wake();
  }

  /** Sends what is due, and looks again when the next is. */
  wake(): void {
    this.#again = true;
    if (!this.#pumping) void this.#pump();
  }

  close(): void {
    this.#connected = false;
    this.#cancelWake();
  }

  async #pump(): Promise<void> {
    const { queue, environment, onError } = this.#options;
    const { clock, random } = environment;
    this.#pumping = true;
    this.#cancelWake();
    while (this.#again && this.#connected) {
      this.#again = false;
      this.#record(queue.timedOut(clock.now(), random));
      const items = queue.take(clock.now());
      if (items.length === 0) continue;
      try {
        await this.#send(items);
      } catch (error) {
        // The store failed: nothing was sent. The timeout of each makes it due again.
        onError(error);
      }
      this.#again = true;
    }
    this.#pumping = false;
    const wakeAt = this.#connected ? queue.nextWakeAt() : undefined;
    if (wakeAt !== undefined) this.#cancelWake = clock.after(Math.max(1, wakeAt - clock.now()), () => this.wake());
  }

  async #send(items: readonly QueueItem[]): Promise<void> {
    const { store, queue } = this.#options;
    const connection = this.#connection;
    const frames: (SendFrame | DeleteFrame)[] = [];
    const prepared = await this.#prepare(items);
    await store.transaction('write', async (tx) => {
      frames.length = 0;
      for (const { item, record } of prepared) {
        const current = await tx.get('outbox', [item.order]);
        // Cancelled, or stored by way of another device's copy, in the meantime.
        if (current === undefined) queue.remove(item.id);
        if (current === undefined || item.sentAt === undefined) continue;
        const { error: _, ...rest } = current;
        const wire = record.wire === undefined ? {} : { wire: record.wire };
        await tx.put('outbox', {
          ...rest,
          ...wire,
          state: item.state,
          attempts: item.attempts,
          firstSentAt: item.firstSentAt ?? 0,
        });
        frames.push(frameOf(record));
      }
    });
    if (!this.#connected || connection !== this.#connection) return;
    for (const frame of frames) this.#options.send(frame);
    this.#options.onChanged(['outbox', ...items.map((item) => item.conversation)]);
  }

  /** Reads the bodies, and encodes those that never were. What can't be encoded now is due again later. */
  async #prepare(items: readonly QueueItem[]): Promise<{ item: QueueItem; record: OutboxRecord }[]> {
    const { store, codec, user } = this.#options;
    const records = await store.transaction('read', async (tx) => {
      const found: (OutboxRecord | undefined)[] = [];
      for (const item of items) found.push(await tx.get('outbox', [item.order]));
      return found;
    });
    const prepared: { item: QueueItem; record: OutboxRecord }[] = [];
    for (const [i, item] of items.entries()) {
      const record = records[i];
      if (record === undefined) {
        this.#options.queue.remove(item.id);
        continue;
      }
      if (await this.#isOld(item, record)) continue;
      try {
        const encode = codec !== undefined && record.wire === undefined && record.deletes === undefined;
        const wire = encode
          ? await codec.encode(record.body, { conversation: record.conversation, from: user, id: record.id })
          : undefined;
        prepared.push({ item, record: wire === undefined || wire === record.body ? record : { ...record, wire } });
      } catch (error) {
        this.rejected({
          t: 'rejected',
          id: item.id,
          code: 'internal',
          message: `not encoded: ${String(error)}`,
          retryable: true,
        });
      }
    }
    return prepared;
  }

  /** Tried so long ago that the server may have forgotten the id: whether it has the message decides. */
  async #isOld(item: QueueItem, record: OutboxRecord): Promise<boolean> {
    const { http, user, environment, intake } = this.#options;
    const now = environment.clock.now();
    if (
      record.firstSentAt === undefined ||
      now - record.firstSentAt < ASK_FIRST_AFTER_MS ||
      record.deletes !== undefined
    )
      return false;
    try {
      const { conversation, position } = await http.status(item.id, user);
      if (position !== undefined)
        intake.add(this.#connection, {
          kind: 'stored',
          frame: { t: 'stored', id: item.id, conversation, position, at: now },
        });
      return true;
    } catch (error) {
      if (error instanceof RestanteError && error.code === 'no_such_message') return false;
      return true;
    }
  }

  #record(items: readonly QueueItem[]): void {
    const { intake, queue } = this.#options;
    intake.add(
      this.#connection,
      ...items.map(({ id }) => ({ kind: 'outbox' as const, id, state: () => queue.item(id)?.state })),
    );
  }
}

function frameOf(record: OutboxRecord): SendFrame | DeleteFrame {
  const { id, conversation, deletes, kind, replyTo, attachments, ttlSeconds, urgent } = record;
  if (deletes !== undefined) return { t: 'delete', id, conversation, position: deletes };
  return {
    ...{ t: 'send', id, conversation, body: record.wire ?? record.body },
    ...(kind === undefined ? {} : { kind }),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(attachments === undefined ? {} : { attachments }),
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...(urgent === undefined ? {} : { urgent }),
  };
}
