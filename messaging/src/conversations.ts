import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { applyChange, type Change, type Group } from '@restante/shared/delivery/membership';
import { memberItem, membershipItem, metaItem, readGroup } from '@restante/shared/inbox/conversations-dynamo';
import type { Item } from '@restante/shared/runtime/dynamo';
import { LRUCache } from 'lru-cache';

const MAX_CACHED_GROUPS = 10_000;
type Known = { group: Group | undefined };

/** Rows that a change of members writes, before its record is committed. */
export type MembershipRows = { conversations: Item[]; memberships: Item[] };

/**
 * Groups as the owner of their partition knows them: what DynamoDB has, and the changes of records whose rows are still being written.
 * The partition is the only place where a group changes, so the copy is right until the partition is assigned anew: then it is dropped
 * (decision 4).
 */
export class Conversations {
  readonly #dynamo: DynamoDBClient;
  readonly #groups = new LRUCache<string, Known>({ max: MAX_CACHED_GROUPS });
  /** Groups with rows that are not written yet: must not be forgotten and read again without them. */
  readonly #unwritten = new Map<string, { known: Known; writes: number }>();

  constructor(dynamo: DynamoDBClient) {
    this.#dynamo = dynamo;
  }

  /** At a new assignment: another process may have changed what is now ours. */
  drop(): void {
    this.#groups.clear();
  }

  /** Reads the groups among these that are not known. @throws when DynamoDB is away: a batch that needs one waits for it */
  async load(conversations: Iterable<string>): Promise<void> {
    const missing: string[] = [];
    for (const one of new Set(conversations)) {
      if (!one.startsWith('grp:')) continue;
      const known = this.#known(one);
      // Also those that only a write of the last owner of the partition holds: it may end before the batch is ruled.
      if (known) this.#groups.set(one, known);
      else missing.push(one);
    }
    await Promise.all(
      missing.map(async (conversation) => {
        this.#groups.set(conversation, { group: await readGroup(this.#dynamo, conversation) });
      }),
    );
  }

  /**
   * @returns undefined where there is no such group
   * @throws where it is not known whether there is: the partition was assigned anew since it was loaded, and the batch is handled again
   */
  get(conversation: string): Group | undefined {
    const known = this.#known(conversation);
    if (!known && conversation.startsWith('grp:'))
      throw new Error(`${conversation} was dropped since it was loaded: the batch is handled again`);
    return known?.group;
  }

  /** What a record has made of a group. Also for who holds it until its rows are written. */
  put(group: Group): void {
    const known = this.#known(group.conversation) ?? { group };
    known.group = group;
    this.#groups.set(group.conversation, known);
  }

  change(group: Group, position: number, add: readonly string[], remove: readonly string[]): Change {
    return applyChange(group, position, add, remove);
  }

  /** The rows of a change, and of a new group its meta. Keyed by what does not change, so that a replay writes the same. */
  rows(group: Group, position: number, { added, removed }: Change, created: boolean): MembershipRows {
    const rows: MembershipRows = { conversations: created ? [metaItem(group)] : [], memberships: [] };
    for (const user of [...added, ...removed]) {
      const member = group.members.get(user)!;
      const interval = member.intervals.find(({ joined, left }) => joined === position || left === position)!;
      rows.conversations.push(memberItem(group.conversation, user, member.role, interval));
      rows.memberships.push(membershipItem(user, group.conversation, interval));
    }
    return rows;
  }

  /** Holds a group in memory until its rows are written. */
  async whileWriting<T>(conversations: readonly string[], write: Promise<T>): Promise<T> {
    for (const conversation of conversations) {
      const held = this.#unwritten.get(conversation);
      const known = this.#known(conversation);
      if (held) held.writes++;
      else if (known) this.#unwritten.set(conversation, { known, writes: 1 });
    }
    try {
      return await write;
    } finally {
      for (const conversation of conversations) {
        const held = this.#unwritten.get(conversation);
        if (held && --held.writes === 0) this.#unwritten.delete(conversation);
      }
    }
  }

  #known(conversation: string): Known | undefined {
    return this.#groups.get(conversation) ?? this.#unwritten.get(conversation)?.known;
  }
}
