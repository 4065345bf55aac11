import { parseConversation } from '../contract/ids.ts';

export type Role = 'owner' | 'member';
/** From `joined` on, until before `left`: positions of the records that changed it. */
export type Interval = { joined: number; left?: number };
export type Member = { role: Role; intervals: Interval[] };
/** A group as the log has made it so far. All intervals are kept, so that any position can be asked about, also on a replay. */
export type Group = {
  conversation: string;
  title: string | undefined;
  createdAt: number;
  members: Map<string, Member>;
};

const covers = ({ joined, left }: Interval, position: number): boolean =>
  joined <= position && (left === undefined || position < left);

/** Whether a user may send and read at a position. The two of a direct conversation always may. */
export function isMemberAt(conversation: string, group: Group | undefined, user: string, position: number): boolean {
  const parts = parseConversation(conversation);
  if (parts?.kind === 'dm') return parts.members.includes(user);
  return group?.members.get(user)?.intervals.some((interval) => covers(interval, position)) ?? false;
}

/** Who is a member at a position; of a direct conversation the two of it, or the one. */
export function membersAt(conversation: string, group: Group | undefined, position: number): string[] {
  const parts = parseConversation(conversation);
  if (parts?.kind === 'dm') return [...new Set(parts.members)];
  return [...(group?.members ?? [])]
    .filter(([, { intervals }]) => intervals.some((interval) => covers(interval, position)))
    .map(([user]) => user);
}

/** What one change of members comes to at its position: who really joins and who really leaves. */
export type Change = { added: string[]; removed: string[] };

/** Whether a record at `position` found the user a member. */
const before = ({ joined, left }: Interval, position: number): boolean =>
  joined < position && (left === undefined || left >= position);

/**
 * Applies a change at a position, in place. A replay may find its own intervals, and those of later records: it comes to the same, for it
 * looks at what was so at its position alone. Whoever was a member already is not added, whoever was none not removed.
 */
export function applyChange(group: Group, position: number, add: readonly string[], remove: readonly string[]): Change {
  const change: Change = { added: [], removed: [] };
  for (const user of new Set(add)) {
    const member = group.members.get(user) ?? { role: 'member', intervals: [] };
    if (!member.intervals.some(({ joined }) => joined === position)) {
      if (member.intervals.some((interval) => before(interval, position))) continue;
      member.intervals.push({ joined: position });
      member.intervals.sort((a, b) => a.joined - b.joined);
      group.members.set(user, member);
    }
    change.added.push(user);
  }
  for (const user of new Set(remove)) {
    const intervals = group.members.get(user)?.intervals ?? [];
    if (!intervals.some(({ left }) => left === position)) {
      const open = intervals.find(({ joined, left }) => joined <= position && left === undefined);
      if (!open) continue;
      open.left = position;
    }
    change.removed.push(user);
  }
  return change;
}

/** Whether an entry of a conversation's history is one that the user gets: a change of members is shown to who leaves by it, too. */
export function mayReceive(
  conversation: string,
  group: Group | undefined,
  user: string,
  position: number,
  kind: 'message' | 'deleted' | 'members',
): boolean {
  if (isMemberAt(conversation, group, user, position)) return true;
  return kind === 'members' && (group?.members.get(user)?.intervals.some(({ left }) => left === position) ?? false);
}
