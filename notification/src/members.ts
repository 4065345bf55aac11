import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { parseConversation } from '@restante/shared/contract/ids';
import { membersAt } from '@restante/shared/delivery/membership';
import { readGroup, readMemberships } from '@restante/shared/inbox/conversations-dynamo';
import { LRUCache } from 'lru-cache';

/** What is said of members here may be this old: it decides on receipts, typing and presence only, never on messages. */
const FRESH_MS = 5_000;
const MAX_CACHED = 20_000;

/** Who is in a conversation now, and who shares one with whom. */
export class Members {
  readonly #dynamo: DynamoDBClient;
  readonly #groups = new LRUCache<string, string[]>({ max: MAX_CACHED, ttl: FRESH_MS });
  readonly #conversations = new LRUCache<string, Set<string>>({ max: MAX_CACHED, ttl: FRESH_MS });

  constructor(dynamo: DynamoDBClient) {
    this.#dynamo = dynamo;
  }

  async of(conversation: string): Promise<string[]> {
    const parts = parseConversation(conversation);
    if (parts?.kind === 'dm') return [...new Set(parts.members)];
    const known = this.#groups.get(conversation);
    if (known) return known;
    const members = membersAt(conversation, await readGroup(this.#dynamo, conversation), Number.MAX_SAFE_INTEGER);
    this.#groups.set(conversation, members);
    return members;
  }

  /** Whether two users share a conversation now. Only a yes may come from memory: a no is asked again. */
  async share(a: string, b: string): Promise<boolean> {
    if (a === b) return true;
    if (meet(await this.#conversationsOf(a), await this.#conversationsOf(b))) return true;
    this.#conversations.delete(a);
    this.#conversations.delete(b);
    const [mine, theirs] = await Promise.all([this.#conversationsOf(a), this.#conversationsOf(b)]);
    return meet(mine, theirs);
  }

  async #conversationsOf(user: string): Promise<Set<string>> {
    const known = this.#conversations.get(user);
    if (known) return known;
    const rows = await readMemberships(this.#dynamo, user);
    const conversations = new Set(rows.filter(({ left }) => !left).map(({ conversation }) => conversation));
    this.#conversations.set(user, conversations);
    return conversations;
  }
}

function meet(mine: ReadonlySet<string>, theirs: ReadonlySet<string>): boolean {
  for (const conversation of mine) if (theirs.has(conversation)) return true;
  return false;
}
