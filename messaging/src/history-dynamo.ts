import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { EntryText } from '@restante/shared/contract/entry';
import { type Item, writeAll } from '@restante/shared/runtime/dynamo';
import { LRUCache } from 'lru-cache';

export type HistoryRow = { conversation: string; position: number; id: string; from: string; entry: EntryText };

/** Direct conversations that are known to be on record. Forgetting one only writes the same rows again. */
const MAX_KNOWN_CONVERSATIONS = 100_000;

/**
 * The history: DynamoDB `messages`, an item for every record that makes an inbox entry, at its own position, never overwritten by
 * another (a replay writes the same item again). And `memberships`, the user's conversations, which a rebuild reads: written
 * before the commit, not by a lagging index (decision 11).
 */
export class History {
  readonly #client: DynamoDBClient;
  readonly #known = new LRUCache<string, true>({ max: MAX_KNOWN_CONVERSATIONS });

  constructor(client: DynamoDBClient) {
    this.#client = client;
  }

  /** Resolves once every row is written. Retries by itself; @throws once the signal is aborted */
  async write(rows: readonly HistoryRow[], signal: AbortSignal): Promise<void> {
    const messages = rows.map(
      (row): Item => ({
        conversation: { S: row.conversation },
        position: { N: String(row.position) },
        id: { S: row.id },
        from: { S: row.from },
        entry: { S: row.entry },
      }),
    );
    await Promise.all([writeAll(this.#client, 'messages', messages, signal), this.#writeMemberships(rows, signal)]);
  }

  async #writeMemberships(rows: readonly HistoryRow[], signal: AbortSignal): Promise<void> {
    const unknown = new Set<string>();
    for (const { conversation } of rows) {
      if (conversation.startsWith('dm:') && !this.#known.has(conversation)) unknown.add(conversation);
    }
    const items = [...unknown].flatMap((conversation) => {
      const [, a, b] = conversation.split(':');
      return [...new Set([a!, b!])].map((user): Item => ({ user: { S: user }, conversation: { S: conversation } }));
    });
    await writeAll(this.#client, 'memberships', items, signal);
    for (const conversation of unknown) this.#known.set(conversation, true);
  }
}
