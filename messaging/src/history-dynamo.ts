import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { EntryText } from '@restante/shared/contract/entry';
import { membershipItem } from '@restante/shared/inbox/conversations-dynamo';
import { type Item, itemKey, writeAll } from '@restante/shared/runtime/dynamo';
import { LRUCache } from 'lru-cache';
import type { MembershipRows } from './conversations.ts';
import { GatheredWrites } from './gathered-dynamo.ts';

export type HistoryRow = { conversation: string; position: number; id: string; from: string; entry: EntryText };
export type HistoryBatch = { rows: HistoryRow[]; tombstones: Item[]; members: MembershipRows[] };

/** Direct conversations that are known to be on record. Forgetting one only writes the same rows again. */
const MAX_KNOWN_CONVERSATIONS = 100_000;

/**
 * The history: DynamoDB `messages`, an item for every record that makes an inbox entry, at its own position, never overwritten by
 * another (a replay writes the same item again). And what a rebuild reads beside it, `tombstones`, `conversations` and `memberships`:
 * written before the commit, not by a lagging index (decisions 3, 4 and 11).
 */
export class History {
  readonly #client: DynamoDBClient;
  readonly #messages: GatheredWrites;
  readonly #known = new LRUCache<string, true>({ max: MAX_KNOWN_CONVERSATIONS });
  readonly #writing = new Set<Promise<void>>();
  #lastMembers: Promise<unknown> = Promise.resolve();

  constructor(client: DynamoDBClient) {
    this.#client = client;
    this.#messages = new GatheredWrites(client, 'messages', ['conversation', 'position']);
  }

  /** Resolves once every row is written. Retries by itself; @throws once the signal is aborted */
  write(batch: HistoryBatch, signal: AbortSignal): Promise<void> {
    const write = this.#write(batch, signal);
    this.#writing.add(write);
    const done = () => this.#writing.delete(write);
    write.then(done, done);
    return write;
  }

  /** Resolves once what was to be written before now is, or was given up. */
  written(): Promise<unknown> {
    return Promise.allSettled(this.#writing);
  }

  async #write({ rows, tombstones, members }: HistoryBatch, signal: AbortSignal): Promise<void> {
    const messages = rows.map(
      (row): Item => ({
        conversation: { S: row.conversation },
        position: { N: String(row.position) },
        id: { S: row.id },
        from: { S: row.from },
        entry: { S: row.entry },
      }),
    );
    await Promise.all([
      this.#messages.write(messages, signal),
      writeAll(this.#client, 'tombstones', lastOfEach(tombstones, ['conversation', 'position']), signal),
      members.length > 0 && this.#writeMembers(members, signal),
      this.#writeDirect(rows, signal),
    ]);
  }

  /**
   * One batch after another, for a later one may write the same row again: that somebody has left must not be overwritten by a retry of
   * that they had joined.
   */
  #writeMembers(members: readonly MembershipRows[], signal: AbortSignal): Promise<unknown> {
    const conversations = lastOfEach(
      members.flatMap((one) => one.conversations),
      ['conversation', 'item'],
    );
    const memberships = lastOfEach(
      members.flatMap((one) => one.memberships),
      ['user', 'conversation'],
    );
    const write = this.#lastMembers.then(() =>
      Promise.all([
        writeAll(this.#client, 'conversations', conversations, signal),
        writeAll(this.#client, 'memberships', memberships, signal),
      ]),
    );
    this.#lastMembers = write.catch(() => undefined);
    return write;
  }

  async #writeDirect(rows: readonly HistoryRow[], signal: AbortSignal): Promise<void> {
    const unknown = new Set<string>();
    for (const { conversation } of rows) {
      if (conversation.startsWith('dm:') && !this.#known.has(conversation)) unknown.add(conversation);
    }
    const items = [...unknown].flatMap((conversation) => {
      const [, a, b] = conversation.split(':');
      return [...new Set([a!, b!])].map((user) => membershipItem(user, conversation));
    });
    await writeAll(this.#client, 'memberships', items, signal);
    for (const conversation of unknown) this.#known.set(conversation, true);
  }
}

/** BatchWriteItem takes a key once: of several rows with one key the last says what is so. */
function lastOfEach(items: readonly Item[], key: readonly string[]): Item[] {
  return [...new Map(items.map((item) => [itemKey(item, key), item])).values()];
}
