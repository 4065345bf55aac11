import { REDELIVER, SLOWEST_WRITE, WINDOW } from './config.ts';
import { type Claimed, Dedupe } from './dedupe.ts';
import { ensure, type HistoryItem } from './dynamo.ts';
import { enqueue, type LiveSession, type NewEntry } from './inbox-scripts.ts';
import { LeaseCopy } from './leases.ts';
import { Membership } from './membership.ts';
import type { Hint, IncomingRecord, MembersCommand, ReturnAddress, User } from './records.ts';
import type { Process, Steps } from './scheduler.ts';
import type { World } from './world.ts';

/** More than a window: what of a batch fits is the rule. */
const LARGEST_BATCH = WINDOW + 2;

/** Orders and stores: the worker of one partition of incoming_messages, as long as the group gives it to this process. */
export function messagingWorker(world: World): (process: Process, partition: number, generation: number) => Steps {
  // Where the rule is off, a process keeps its copy of the memberships while others own the partition.
  const kept = new Map<Process, Membership>();
  return function* work(process, partition, generation) {
    const membership = world.rule('cachesDropped')
      ? new Membership(world)
      : ensure(kept, process, () => new Membership(world));
    const worker = new PartitionWorker(world, process, partition, generation, membership);
    world.scheduler.spawn(process, worker.commits());
    yield* worker.run();
  };
}

class PartitionWorker {
  private readonly world: World;
  private readonly process: Process;
  private readonly partition: number;
  private readonly generation: number;
  private readonly membership: Membership;
  private readonly leases: LeaseCopy;
  private readonly dedupe: Dedupe;
  private readonly finished = new Set<number>();
  private next: number;
  /** All before it are finished, and this far it is committed. */
  private contiguous: number;
  private committed: number;

  constructor(world: World, process: Process, partition: number, generation: number, membership: Membership) {
    this.world = world;
    this.process = process;
    this.partition = partition;
    this.generation = generation;
    this.membership = membership;
    this.leases = new LeaseCopy(world);
    this.next = world.kafka.committed('incoming')[partition] ?? 0;
    this.contiguous = this.next;
    this.committed = this.next;
    this.dedupe = new Dedupe(world, process, partition);
  }

  *run(): Steps {
    const log = this.world.kafka.incoming[this.partition] as IncomingRecord[];
    for (;;) {
      yield () => log.length > this.next;
      const batch = log.slice(this.next, this.next + this.world.random.integer(1, LARGEST_BATCH));
      const kept: IncomingRecord[] = [];
      for (const record of batch) if (yield* this.admit(record)) kept.push(record);
      this.next += batch.length;
      const parts = { history: false, inbox: false };
      const finish = (part: keyof typeof parts): void => {
        parts[part] = true;
        if ((parts.history && parts.inbox) || !this.world.rule('commitAfterAll')) this.finish(batch, kept);
      };
      this.world.scheduler.spawn(
        this.process,
        this.store(kept, () => finish('history')),
      );
      yield* this.deliver(kept);
      finish('inbox');
    }
  }

  /** Commits contiguously, off the hot path. */
  *commits(): Steps {
    const { kafka, random } = this.world;
    while (kafka.isOwner('incoming', this.partition, this.generation)) {
      yield () => this.contiguous > this.committed;
      yield;
      this.committed = this.contiguous;
      kafka.commit('incoming', this.partition, this.generation, this.committed);
      yield random.integer(1, 30);
    }
  }

  private finish(batch: readonly IncomingRecord[], kept: readonly IncomingRecord[]): void {
    for (const record of batch) this.finished.add(record.offset);
    while (this.finished.has(this.contiguous)) this.contiguous++;
    for (const record of kept) this.answer(record, { t: 'stored', id: record.id, position: record.offset });
  }

  /** Whether the record makes an entry: it decodes, its sender may, and it is no repeat of another (decisions 4, 5, 16). */
  private *admit(record: IncomingRecord): Steps<boolean> {
    if (record.t === 'garbage') {
      if (!this.world.rule('garbageToDeadLetters')) yield () => false;
      yield;
      this.world.kafka.appendDeadLetter({ id: record.id, reason: 'undecodable' });
      return false;
    }
    yield* this.membership.load(record.conversation);
    if (!this.membership.isMember(record.conversation, record.from, record.offset)) {
      this.answer(record, { t: 'rejected', id: record.id, code: 'not_a_member' });
      return false;
    }
    if (record.t === 'members') return yield* this.changeMembers(record);
    const claimed: Claimed = yield* this.dedupe.claim(record, this.membership);
    if (claimed === 'first') return true;
    this.world.log(`repeat of ${record.id} at ${record.offset}`, claimed);
    if (claimed === 'conflict') this.answer(record, { t: 'rejected', id: record.id, code: 'duplicate_conflict' });
    else this.answer(record, { t: 'stored', id: record.id, position: claimed.position });
    return false;
  }

  private *changeMembers(record: MembersCommand & IncomingRecord): Steps<boolean> {
    yield;
    return this.membership.change(record);
  }

  private answer(record: IncomingRecord, answer: NonNullable<Hint['answer']>): void {
    const to: ReturnAddress | undefined = 'answerTo' in record ? record.answerTo : undefined;
    if (to) this.world.kafka.appendHint(to.slot, { connection: to.connection, generation: 0, answer });
  }

  /** The history, each record at its own position: writing it again changes nothing (decision 3). */
  private *store(records: readonly IncomingRecord[], done: () => void): Steps {
    const { dynamo, random } = this.world;
    for (const record of random.shuffle(records)) {
      if (this.world.fault('dynamo') && !this.world.calm) yield random.integer(0, SLOWEST_WRITE);
      else yield;
      const item = itemOf(record, this.partition);
      const history = ensure(dynamo.history, record.conversation, () => new Map<number, HistoryItem>());
      history.set(record.offset, item);
      this.world.checker.onStored(item, history);
      if (item.target !== undefined) this.putTombstone(item, history);
      for (const user of this.membership.everMembers(record.conversation)) this.putMembership(user, record);
    }
    done();
  }

  private putTombstone(item: HistoryItem, history: Map<number, HistoryItem>): void {
    const target = item.target as number;
    if (this.world.rule('tombstoneRow'))
      ensure(this.world.dynamo.tombstones, item.conversation, () => new Set<number>()).add(target);
    else {
      const deleted = history.get(target);
      if (deleted) history.set(target, { ...deleted, content: undefined });
    }
  }

  private putMembership(user: User, record: IncomingRecord): void {
    const { dynamo, random, scheduler } = this.world;
    const visibleAt = scheduler.now + (this.world.fault('indexlag') ? random.integer(0, 600) : 0);
    ensure(
      ensure(dynamo.memberships, user, () => new Map()),
      record.conversation,
      () => visibleAt,
    );
  }

  /** One script call for a user and a batch, then the due queue, then the hints (decisions 6, 8, 15). */
  private *deliver(records: readonly IncomingRecord[]): Steps {
    const { kafka } = this.world;
    for (const [user, entries] of this.byRecipient(records)) {
      const sessions = yield* this.enqueue(user, entries);
      const live = yield* this.leases.alive(this.process, sessions);
      yield* this.world.due.add(this.process, user, live.length > 0 ? REDELIVER : 0);
      for (const { slot, hint } of live) {
        if (!hint) continue;
        yield;
        kafka.appendHint(slot, hint);
      }
    }
  }

  private *enqueue(user: User, entries: readonly NewEntry[]): Steps<LiveSession[]> {
    const ids = entries.map((entry) => entry.id).join(',');
    return yield* this.world.redis.forUser(this.process, user, `enqueue ${ids} for`, (at) =>
      enqueue(this.world, at, user, this.partition, entries),
    );
  }

  private byRecipient(records: readonly IncomingRecord[]): Map<User, NewEntry[]> {
    const entries = new Map<User, NewEntry[]>();
    for (const record of records) {
      const item = itemOf(record, this.partition);
      for (const user of this.membership.recipients(record.conversation, record.offset)) {
        // The sender's other devices get a copy; of a membership change everybody gets the one entry.
        const own = user === record.from && record.t !== 'members';
        ensure(entries, user, () => []).push({ ...item, own });
      }
    }
    return entries;
  }
}

function itemOf(record: IncomingRecord, partition: number): HistoryItem {
  const { id, from, conversation, offset: position, time } = record;
  const common = { id, from, conversation, position, partition, time };
  if (record.t === 'send')
    return { ...common, kind: 'message', content: record.content, ttl: record.ttl, target: undefined };
  const target = record.t === 'delete' ? record.target : undefined;
  return { ...common, kind: record.t === 'delete' ? 'deleted' : 'members', content: undefined, ttl: undefined, target };
}
