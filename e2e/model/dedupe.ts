import { REREAD } from './config.ts';
import type { Membership } from './membership.ts';
import type { DeleteCommand, IncomingRecord, SendCommand } from './records.ts';
import type { Claim, Mark, Script } from './redis.ts';
import type { Process, Steps } from './scheduler.ts';
import type { World } from './world.ts';

export type Claimed = 'first' | 'conflict' | { position: number };
type Claimable = (SendCommand | DeleteCommand) & IncomingRecord;

/**
 * A sender's retry is found by a claim on (sender, id), made one round trip before the enqueue (decision 5). With each
 * claim comes the mark of the memory that it went to: up to which record of this partition its claims are in it. Where the
 * mark is missing, low, or another store's, that memory was lost, and the last hour of the partition is claimed again first.
 */
export class Dedupe {
  private readonly world: World;
  private readonly process: Process;
  private readonly partition: number;
  /** Where the mark is left out: the stores that this owner believes in. */
  private readonly believed = new Set<string>();

  constructor(world: World, process: Process, partition: number) {
    this.world = world;
    this.process = process;
    this.partition = partition;
    for (const user of world.users) this.believed.add(world.redis.storeOf(user));
  }

  *claim(record: IncomingRecord, membership: Membership): Steps<Claimed> {
    if (!isClaimable(record)) return 'first';
    for (;;) {
      const { claimed, intact } = yield* this.world.redis.forUser(
        this.process,
        record.from,
        `claim ${record.id}@${record.offset} of`,
        (at) => ({
          claimed: claim(this.world, at, record),
          intact: this.isIntact(at, record),
        }),
      );
      if (intact) return claimed;
      yield* this.claimAgain(record, membership);
    }
  }

  private isIntact(at: Script, record: Claimable): boolean {
    if (!this.world.rule('dedupeReread')) return true;
    if (!this.world.rule('claimMark')) return this.believed.has(at.store);
    const mark = this.markAt(at);
    if (!mark || mark.store !== at.store || mark.upTo < record.offset) return false;
    mark.upTo = Math.max(mark.upTo, record.offset + 1);
    return true;
  }

  /** Claims again what the partition holds of the last hour before this record, the oldest first. */
  private *claimAgain(before: Claimable, membership: Membership): Steps {
    const { world, process } = this;
    world.log(`partition ${this.partition} claims again up to ${before.offset}`);
    const since = world.scheduler.now + process.clockOffset - REREAD;
    const reader = world.nextId();
    // The mark says who reads: where it is gone at the end, what was claimed on the way may be gone too.
    yield* world.redis.forUser(process, before.from, '', (at) => {
      const upTo = this.markAt(at)?.store === at.store ? (this.markAt(at)?.upTo ?? 0) : 0;
      at.state.marks[at.node] ??= {};
      (at.state.marks[at.node] as Record<number, Mark>)[this.partition] = { store: at.store, upTo, reader };
    });
    for (const record of world.kafka.incoming[this.partition]?.slice(0, before.offset) ?? []) {
      if (
        !isClaimable(record) ||
        record.time < since ||
        world.redis.nodeOf(record.from) !== world.redis.nodeOf(before.from)
      )
        continue;
      yield* membership.load(record.conversation);
      if (!membership.isMember(record.conversation, record.from, record.offset)) continue;
      yield* world.redis.forUser(process, record.from, '', (at) => claimOldest(at, record));
    }
    yield* world.redis.forUser(process, before.from, '', (at) => {
      this.believed.add(at.store);
      const mark = this.markAt(at);
      if (mark?.reader === reader && mark.store === at.store) mark.upTo = Math.max(mark.upTo, before.offset);
    });
  }

  private markAt(at: Script): Mark | undefined {
    return at.state.marks[at.node]?.[this.partition];
  }
}

const isClaimable = (record: IncomingRecord): record is Claimable => record.t === 'send' || record.t === 'delete';
const contentOf = (record: Claimable): number => (record.t === 'send' ? record.content : -1 - record.target);
const claimOf = (record: Claimable): Claim => ({
  conversation: record.conversation,
  position: record.offset,
  content: contentOf(record),
});

function claimsOf(at: Script, sender: string): Record<string, Claim> {
  at.state.dedupe[sender] ??= {};
  return at.state.dedupe[sender];
}

function claim(world: World, at: Script, record: Claimable): Claimed {
  const claims = claimsOf(at, record.from);
  if (world.rule('firstHolds')) claimOldest(at, record);
  const held = claims[record.id] ?? claimOf(record);
  claims[record.id] = held;
  if (held.conversation === record.conversation && held.position === record.offset) return 'first';
  return held.conversation === record.conversation && held.content === contentOf(record)
    ? { position: held.position }
    : 'conflict';
}

/** The first position wins, also over a claim of an owner that went before it had noticed the loss. */
function claimOldest(at: Script, record: Claimable): void {
  const claims = claimsOf(at, record.from);
  const held = claims[record.id];
  if (!held || (held.conversation === record.conversation && held.position > record.offset))
    claims[record.id] = claimOf(record);
}
