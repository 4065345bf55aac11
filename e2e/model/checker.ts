import { CLOCK_SHIFT, LONG_ACKED, REREAD } from './config.ts';
import type { Device } from './device.ts';
import { ensure, type HistoryItem, type Interval } from './dynamo.ts';
import { applyChange, mayActAt, receivesAt, STILL_MEMBER } from './membership.ts';
import { readHistory } from './rebuild.ts';
import {
  type ConversationName,
  type Entry,
  type Gap,
  type GapReason,
  type IncomingRecord,
  isGap,
  type PageEntry,
  type User,
} from './records.ts';
import type { World } from './world.ts';

/** What of the invariants (DESIGN.md, "What must hold") was broken, by the name that a test expects. */
export type BrokenKind =
  | 'lost'
  | 'stuck'
  | 'unsettled'
  | 'trim'
  | 'dense'
  | 'confirmed'
  | 'order'
  | 'generation'
  | 'twice'
  | 'double'
  | 'old'
  | 'past'
  | 'wrong'
  | 'content'
  | 'gap'
  | 'resurrected'
  | 'exiled'
  | 'drained'
  | 'held'
  | 'unwoken'
  | 'blocked';

/** How much later than its gateway a client may see that it is offline, and the other way round. */
const NOTICED_LATE = 600;
/** How long a message may be under way before it is in an inbox. */
const LONGEST_LAG = 1500;

const GAP = -1;

type Seen = { generation: number; seq: number; position: number; confirmedAt: number | undefined };
/** What the checker knows of a device, from outside. */
type Book = {
  madeAt: number | undefined;
  /** Its user's first: it gets all. */
  isFirst: boolean;
  /** When it came back after its retention; it starts anew then. */
  returnedAt: number | undefined;
  gaps: Map<string, GapReason>;
  /** Trimmed while it was unseen for its retention. */
  expired: Set<string>;
  seen: Map<string, Seen>;
  firstPositions: Map<ConversationName, number>;
  /** Generation → the highest seq that a welcome or reset confirmed as acked. */
  confirmed: Map<number, number>;
  /** Generation and seq of what it refused → when that was taken. */
  refused: Map<string, number>;
  /** Generation → the first seq in it that was not confirmed in another. */
  freshFrom: Map<number, number>;
};

/** Knows the truth from the log alone, and watches what each device is given. */
export class Checker {
  /** The first copy of each (sender, id) that its sender was allowed to send: what must be delivered. */
  readonly valid = new Map<string, IncomingRecord>();
  private readonly members = new Map<ConversationName, Map<User, Interval[]>>();
  private readonly books = new Map<Device, Book>();
  private readonly placed = new Map<string, string[]>();
  private readonly overflowed = new Map<User, Set<string>>();
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  begin(conversation: ConversationName, users: readonly User[]): void {
    this.members.set(conversation, new Map(users.map((user) => [user, [{ joined: -1, left: STILL_MEMBER }]])));
  }

  onAppended(record: IncomingRecord): void {
    const members = ensure(this.members, record.conversation, () => new Map<User, Interval[]>());
    if (record.t === 'garbage' || !mayActAt(members.get(record.from) ?? [], record.offset)) return;
    if (record.t === 'members' && !applyChange(members, record)) return;
    const key = `${record.from}/${record.id}`;
    if (!this.valid.has(key)) this.valid.set(key, record);
  }

  /** Invariant 3: one (sender, id) has one position. */
  onStored(item: HistoryItem, history: Map<number, HistoryItem>): void {
    for (const other of history.values()) {
      if (other.id !== item.id || other.from !== item.from || other.position === item.position) continue;
      const [a, b] = [this.record(item), this.record(other)];
      // Claims are made again for an hour only: a repeat after that, and after a loss, is another message.
      if (Math.abs(a.appendedAt - b.appendedAt) < REREAD - CLOCK_SHIFT)
        this.world.fail('twice', `${item.id} at ${other.position} and ${item.position}`);
    }
  }

  onEntryPlaced(generation: number, entry: Entry): void {
    ensure(this.placed, `${generation}/${entry.seq}`, () => []).push(entry.id);
  }

  onOverflow(user: User, entry: Entry): void {
    ensure(this.overflowed, user, () => new Set()).add(entry.id);
  }

  /** Invariant 6: nothing is trimmed before all active devices acked it. */
  onTrimmed(user: User, entry: Entry): void {
    for (const device of this.world.devicesOf(user)) {
      if (!this.isSurelyActive(device)) this.book(device).expired.add(entry.id);
      else if (this.owesEntry(device, entry) && !this.has(device, entry.id))
        this.world.fail('trim', `${entry.id} is trimmed, ${device.name} hasn't got it`);
    }
  }

  /** Of a rebuilt inbox: no text of what was deleted before the cut, and no own copies from before the second device. */
  onRebuilt(user: User, entries: readonly Entry[], below: readonly number[] | undefined): void {
    this.world.count('rebuilt');
    if (!below) return;
    const { kafka, dynamo } = this.world;
    const starts = [...(dynamo.devices.get(user)?.values() ?? [])].flatMap(({ start }) => (start ? [start] : []));
    for (const { own, id, partition, position } of entries) {
      if (own && position < (below[partition] ?? 0) && starts.every((start) => position < (start[partition] ?? 0))) {
        this.world.fail('past', `${user}'s rebuilt inbox has its own ${id}, sent when there was one device`);
      }
    }
    for (const record of this.valid.values()) {
      if (record.t !== 'delete' || record.offset >= (below[kafka.partitionOf(record.conversation)] ?? 0)) continue;
      const text = entries.find(
        (entry) =>
          entry.conversation === record.conversation && entry.position === record.target && entry.content !== undefined,
      );
      if (text) this.world.fail('resurrected', `${text.id} is in a rebuilt inbox, deleted at ${record.offset}`);
    }
  }

  onDeviceMade(user: User, name: string): void {
    const device = this.deviceNamed(user, name);
    const book = this.book(device);
    // One that comes back after its retention starts anew when its cursor is made, not when it first knocked.
    if (book.returnedAt !== undefined) book.returnedAt = this.world.scheduler.now;
    if (book.madeAt === undefined) this.make(device, book);
  }

  /** A rebuild restores its cursor: what it is owed stays. */
  onDeviceRestored(user: User, name: string): void {
    const device = this.deviceNamed(user, name);
    const book = this.book(device);
    if (book.madeAt === undefined) this.make(device, book);
  }

  private make(device: Device, book: Book): void {
    book.madeAt = this.world.scheduler.now;
    const row = this.world.dynamo.devices.get(device.user)?.get(device.name);
    const others = this.world.devicesOf(device.user).filter((other) => other !== device);
    book.isFirst = row?.start === undefined && others.every((other) => this.book(other).madeAt === undefined);
  }

  /** A device comes to a gateway: one that was unseen for its retention starts anew. */
  onConnecting(device: Device): void {
    const book = this.book(device);
    if (book.madeAt !== undefined && !this.isSurelyActive(device)) book.returnedAt = this.world.scheduler.now;
  }

  /** A refusal was taken: the entry counts as acked for this device. */
  onRefused(user: User, name: string, generation: number, seq: number): void {
    this.book(this.deviceNamed(user, name)).refused.set(`${generation}/${seq}`, this.world.scheduler.now);
  }

  private deviceNamed(user: User, name: string): Device {
    return this.world.devicesOf(user).find((candidate) => candidate.name === name) as Device;
  }

  onConfirmed(device: Device, generation: number, acked: number): void {
    const book = this.book(device);
    book.confirmed.set(generation, Math.max(acked, book.confirmed.get(generation) ?? 0));
    for (const seen of book.seen.values())
      if (seen.generation === generation && seen.seq <= acked) seen.confirmedAt ??= this.world.scheduler.now;
  }

  /** Invariants 2, 4, 5: of one entry that a device gets. */
  onDelivered(device: Device, generation: number, lastSeq: number, entry: PageEntry): void {
    const from = isGap(entry) ? entry.from : entry.seq;
    if (generation !== device.generation)
      this.world.fail('generation', `${device.name} gets ${generation} in ${device.generation}`);
    if (from !== lastSeq + 1) this.world.fail('dense', `${device.name} gets ${from} after ${lastSeq}`);
    this.world.count(isGap(entry) ? `gap ${entry.reason}` : entry.kind);
    if (isGap(entry)) this.onGap(device, generation, entry);
    else this.onEntry(device, generation, entry);
  }

  private onGap(device: Device, generation: number, gap: Gap): void {
    const book = this.book(device);
    const { gaps, seen } = book;
    this.onFresh(book, generation, gap.seq);
    for (let seq = gap.from; seq <= gap.seq; seq++) {
      for (const id of this.placed.get(`${generation}/${seq}`) ?? []) {
        if (!this.isRightly(device, gap.reason, id))
          this.world.fail('gap', `${device.name} gets a gap for ${id}: ${gap.reason}`);
        gaps.set(id, gap.reason);
        // An ack of the gap is one of what it stands for.
        if (gap.reason === 'overflow')
          seen.set(id, { generation, seq: gap.seq, position: GAP, confirmedAt: undefined });
      }
    }
  }

  private isRightly(device: Device, reason: GapReason, id: string): boolean {
    const overflowed = this.overflowed.get(device.user)?.has(id) ?? false;
    if (reason === 'overflow') return overflowed || this.has(device, id);
    if (reason === 'dead-lettered') return this.isDeadLetter(device, id);
    if (reason === 'device-expired')
      return (
        overflowed ||
        this.has(device, id) ||
        this.book(device).expired.has(id) ||
        this.book(device).returnedAt !== undefined
      );
    const record = [...this.valid.values()].find((candidate) => candidate.id === id);
    const skew = this.world.fault('clocks') ? 2 * CLOCK_SHIFT : 0;
    return (
      record?.t === 'send' &&
      record.ttl !== undefined &&
      record.appendedAt + record.ttl <= this.world.scheduler.now + skew
    );
  }

  private onEntry(device: Device, generation: number, entry: Entry): void {
    const { world } = this;
    const book = this.book(device);
    const { id, seq, conversation, position } = entry;
    const record = this.record(entry);
    if (seq <= (book.confirmed.get(generation) ?? 0))
      world.fail('confirmed', `${device.name} gets ${seq} again in ${generation}`);
    const members = this.members.get(conversation)?.get(device.user) ?? [];
    if (!receivesAt(members, position))
      world.fail('wrong', `${device.name} gets ${id} at ${position}, members ${JSON.stringify(members)}`);
    if (entry.content !== undefined && record.t === 'send' && record.content !== entry.content)
      world.fail('content', `${id} has another content`);
    const seen = book.seen.get(id);
    if (seen?.generation === generation && seen.seq !== seq && seen.position === position)
      world.fail('double', `${device.name} gets ${id} as ${seen.seq} and ${seq} in ${generation}`);
    const repeats = seen !== undefined && (seen.position === position || seen.position === GAP);
    if (!repeats || seen.confirmedAt === undefined) this.onFresh(book, generation, seq);
    else if (
      this.isLongConfirmed(seen, generation) &&
      seq < (book.freshFrom.get(generation) ?? Number.POSITIVE_INFINITY)
    )
      world.fail('old', `${device.name} gets ${id} again, confirmed at ${seen.confirmedAt}`);
    const refusedAt = book.refused.get(`${generation}/${seq}`);
    if (refusedAt !== undefined && refusedAt < device.connectedAt)
      world.fail('confirmed', `${device.name} gets ${id} again, refused at ${refusedAt}`);
    if (!seen) this.onFirst(device, book, entry, record);
    book.seen.set(id, {
      generation,
      seq,
      position,
      confirmedAt: seen?.generation === generation ? seen.confirmedAt : undefined,
    });
  }

  /** In order of position within a conversation, and nothing from long before the device was made. */
  private onFirst(device: Device, book: Book, entry: Entry, record: IncomingRecord): void {
    const { conversation, id, position } = entry;
    const before = book.firstPositions.get(conversation) ?? -1;
    // What is not owed may come late to one that was unseen for its retention, which starts anew; and own copies, from when a second device had
    // a row and nothing else.
    const counts = this.owesEntry(device, entry) || (!entry.own && !this.world.fault('expiry'));
    if (position <= before && counts && !book.gaps.has(id))
      this.world.fail('order', `${device.name} gets ${conversation} ${position} after ${before}`);
    book.firstPositions.set(conversation, Math.max(before, position));
    const row = this.world.dynamo.devices.get(device.user)?.get(device.name);
    const isLater = row?.start !== undefined;
    const bornAt = isLater && !this.world.fault('clocks') ? row.bornAt : 0;
    if (record.appendedAt < bornAt - LONGEST_LAG) {
      this.world.fail('past', `${device.name} was born at ${bornAt} and gets ${id} of ${record.appendedAt}`);
    }
  }

  /** What comes after an entry that was never acked may have been acked in another order: that may repeat (decision 11). */
  private onFresh(book: Book, generation: number, seq: number): void {
    book.freshFrom.set(generation, Math.min(seq, book.freshFrom.get(generation) ?? seq));
  }

  private isLongConfirmed(seen: Seen, generation: number): boolean {
    const { losses } = this.world.redis;
    const { confirmedAt } = seen;
    if (confirmedAt === undefined || seen.generation === generation || losses.length === 0) return false;
    return !losses.some((loss) => loss - confirmedAt < LONG_ACKED && loss > confirmedAt - NOTICED_LATE);
  }

  /** What must still come to somebody: the accepted, the members' and in time, that no gap and no dead letter stands for. */
  missing(): string[] {
    const missing: string[] = [];
    for (const device of this.world.devices) {
      if (device.isAbsent) continue;
      for (const record of this.valid.values())
        if (this.owes(device, record) && !this.has(device, record.id)) missing.push(`${record.id}->${device.name}`);
    }
    return missing;
  }

  /** Whether a device that is away is owed anything that nobody would tell it of. */
  owesAny(device: Device): boolean {
    return [...this.valid.values()].some(
      (record) =>
        this.owes(device, record) && !this.has(device, record.id) && !this.overflowed.get(device.user)?.has(record.id),
    );
  }

  /** No page of history shows the text of what was deleted. */
  checkHistory(): void {
    for (const record of this.valid.values()) {
      if (record.t !== 'delete') continue;
      const item = readHistory(this.world, record.conversation).find(
        (candidate) => candidate.position === record.target,
      );
      if (item?.content !== undefined)
        this.world.fail('resurrected', `${item.id} is in the history, deleted at ${record.offset}`);
    }
  }

  private has(device: Device, id: string): boolean {
    return device.stored.has(id) || this.book(device).gaps.has(id) || this.isDeadLetter(device, id);
  }

  private isDeadLetter(device: Device, id: string): boolean {
    return this.world.kafka.deadLetters.some((letter) => letter.device === device.name && letter.id === id);
  }

  private owesEntry(device: Device, entry: Entry): boolean {
    const record = this.valid.get(`${entry.from}/${entry.id}`);
    return record !== undefined && this.owes(device, record);
  }

  private owes(device: Device, record: IncomingRecord): boolean {
    const book = this.book(device);
    if (book.madeAt === undefined || book.expired.has(record.id)) return false;
    const since = book.returnedAt ?? (book.isFirst ? -1 : book.madeAt);
    if (record.appendedAt <= since) return false;
    if (!receivesAt(this.members.get(record.conversation)?.get(device.user) ?? [], record.offset)) return false;
    return record.from !== device.user || record.t === 'members' || this.hadTwoDevices(device.user, record.appendedAt);
  }

  /** Own copies are owed once a second device is there. */
  private hadTwoDevices(user: User, time: number): boolean {
    const made = this.world
      .devicesOf(user)
      .filter((device) => (this.book(device).madeAt ?? Number.POSITIVE_INFINITY) < time);
    return made.length > 1 && !this.world.fault('expiry');
  }

  /** Connected, or seen so lately that whoever lost sight of it first must still count it as active. */
  isSurelyActive(device: Device): boolean {
    return (
      device.connection !== undefined ||
      this.world.scheduler.now - device.lastOnlineAt < this.world.deviceRetention - NOTICED_LATE
    );
  }

  isSurelyExpired(device: Device): boolean {
    return (
      device.connection === undefined &&
      this.world.scheduler.now - device.lastOnlineAt > this.world.deviceRetention + NOTICED_LATE
    );
  }

  private record(place: { conversation: ConversationName; position: number }): IncomingRecord {
    return this.world.kafka.incoming[this.world.kafka.partitionOf(place.conversation)]?.[
      place.position
    ] as IncomingRecord;
  }

  private book(device: Device): Book {
    return ensure(this.books, device, () => ({
      madeAt: undefined,
      isFirst: false,
      returnedAt: undefined,
      gaps: new Map(),
      expired: new Set(),
      seen: new Map(),
      firstPositions: new Map(),
      confirmed: new Map(),
      refused: new Map(),
      freshFrom: new Map(),
    }));
  }
}
