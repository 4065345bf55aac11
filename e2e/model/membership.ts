import { ensure, type Interval } from './dynamo.ts';
import type { ConversationName, IncomingRecord, MembersCommand, User } from './records.ts';
import type { Steps } from './scheduler.ts';
import type { World } from './world.ts';

export const STILL_MEMBER = Number.MAX_SAFE_INTEGER;

/** Who receives at a position: who has joined at it is in, who has left at it is out. */
export const receivesAt = (intervals: readonly Interval[], position: number): boolean =>
  intervals.some(({ joined, left }) => joined <= position && position < left);

/** Who may act by the record at a position: who leaves by it still may. */
export const mayActAt = (intervals: readonly Interval[], position: number): boolean =>
  intervals.some(({ joined, left }) => joined < position && position <= left);

/** Adds or ends intervals as a record says, once however often it is read (decision 4). @returns whether it has an effect. */
export function applyChange(members: Map<User, Interval[]>, record: MembersCommand & { offset: number }): boolean {
  const { added, removed, offset: position } = record;
  let effective = false;
  if (added !== undefined) {
    const intervals = ensure(members, added, () => []);
    const replayed = intervals.some(({ joined }) => joined === position);
    if (!replayed && !mayActAt(intervals, position)) intervals.push({ joined: position, left: STILL_MEMBER });
    effective ||= intervals.some(({ joined }) => joined === position);
  }
  if (removed !== undefined) {
    for (const interval of ensure(members, removed, () => [])) {
      if (interval.joined < position && interval.left > position) interval.left = position;
      effective ||= interval.left === position;
    }
  }
  return effective;
}

/**
 * A copy of who is a member from where to where; the truth of it is in DynamoDB. It lasts as long as a partition is given
 * to a process: another may own the partition after that, and what that one changes is not in here (decision 4).
 */
export class Membership {
  private readonly cache = new Map<ConversationName, Map<User, Interval[]>>();
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  *load(conversation: ConversationName): Steps {
    if (this.cache.has(conversation)) return;
    yield;
    this.cache.set(
      conversation,
      structuredClone(this.world.dynamo.intervals.get(conversation) ?? new Map<User, Interval[]>()),
    );
  }

  isMember(conversation: ConversationName, user: User, position: number): boolean {
    const intervals = this.cache.get(conversation)?.get(user) ?? [];
    return this.world.rule('membershipAtPosition') ? mayActAt(intervals, position) : isMemberNow(intervals);
  }

  recipients(conversation: ConversationName, position: number): User[] {
    const members = [...(this.cache.get(conversation) ?? [])];
    const receives = (intervals: Interval[]): boolean =>
      this.world.rule('membershipAtPosition') ? receivesAt(intervals, position) : isMemberNow(intervals);
    return members.filter(([, intervals]) => receives(intervals)).map(([user]) => user);
  }

  everMembers(conversation: ConversationName): User[] {
    return [...(this.cache.get(conversation)?.keys() ?? [])];
  }

  /** Durable and in the copy before any later record of the partition is looked at. */
  change(record: MembersCommand & IncomingRecord): boolean {
    const durable = ensure(this.world.dynamo.intervals, record.conversation, () => new Map<User, Interval[]>());
    applyChange(durable, record);
    return applyChange(
      ensure(this.cache, record.conversation, () => new Map<User, Interval[]>()),
      record,
    );
  }
}

const isMemberNow = (intervals: readonly Interval[]): boolean => intervals.some(({ left }) => left === STILL_MEMBER);
