import type { Hint, IncomingCommand, IncomingRecord, UserEvent } from './records.ts';
import type { Process, ProcessKind, Steps, Task } from './scheduler.ts';
import type { World } from './world.ts';

export const PARTITIONS = 2;
export const SLOTS = 4;
const LOST_HINT_PROBABILITY = 0.08;
const LOST_EVENT_PROBABILITY = 0.06;
const ZOMBIE_TICKS = 200;

export type DeadLetter = { user?: string; device?: string; id: string; reason: 'undecodable' | 'nacked' | 'poison' };
export type GroupTopic = 'incoming' | 'events';
type Worker = (process: Process, partition: number, generation: number) => Steps;
type Group = {
  kind: ProcessKind;
  worker: Worker;
  owners: (Task | undefined)[];
  committed: number[];
  /** Of the group, per partition: who joined before it can't commit any more. */
  generations: number[];
};

const perPartition = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

/** The log. It never loses what it acknowledged (decision 2); only hints and events that a producer gave up on are lost. */
export class Kafka {
  readonly incoming: IncomingRecord[][] = perPartition(PARTITIONS, () => []);
  readonly events: UserEvent[][] = perPartition(PARTITIONS, () => []);
  readonly outgoing: Hint[][] = perPartition(SLOTS, () => []);
  readonly deadLetters: DeadLetter[] = [];
  private readonly groups = new Map<GroupTopic, Group>();
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  subscribe(topic: GroupTopic, kind: ProcessKind, worker: Worker): void {
    this.groups.set(topic, {
      kind,
      worker,
      owners: perPartition(PARTITIONS, () => undefined),
      committed: perPartition(PARTITIONS, () => 0),
      generations: perPartition(PARTITIONS, () => 0),
    });
  }

  /** @param process whose clock stamps the record: the producer's, as Kafka does by default. */
  appendIncoming(process: Process, command: IncomingCommand): IncomingRecord {
    const { now } = this.world.scheduler;
    const log = this.incoming[this.partitionOf(command.conversation)] as IncomingRecord[];
    const record: IncomingRecord = { ...command, offset: log.length, time: now + process.clockOffset, appendedAt: now };
    log.push(record);
    this.world.log('incoming', record);
    this.world.checker.onAppended(record);
    return record;
  }

  appendEvent(event: UserEvent): void {
    const mayBeLost = event.t !== 'nacked' || !this.world.rule('nackBeforeAck');
    if (
      mayBeLost &&
      this.world.fault('eventloss') &&
      !this.world.calm &&
      this.world.random.chance(LOST_EVENT_PROBABILITY)
    ) {
      this.world.count('eventloss');
      this.world.log('event lost', event);
      return;
    }
    this.events[this.partitionOf(event.user)]?.push(event);
    this.world.log('event', event);
  }

  appendHint(slot: number, hint: Hint): void {
    if (this.world.fault('hintloss') && !this.world.calm && this.world.random.chance(LOST_HINT_PROBABILITY)) {
      this.world.count('hintloss');
      this.world.log('hint lost', hint);
      return;
    }
    this.outgoing[slot]?.push(hint);
    this.world.log(`hint to slot ${slot}`, hint);
  }

  appendDeadLetter(letter: DeadLetter): void {
    this.deadLetters.push(letter);
    this.world.count(`dead letter ${letter.reason}`);
    this.world.log('dead letter', letter);
  }

  partitionOf(key: string): number {
    return hash(key) % PARTITIONS;
  }

  /** How far each partition of incoming_messages goes now. */
  ends(): number[] {
    return this.incoming.map((log) => log.length);
  }

  committed(topic: GroupTopic): number[] {
    return this.group(topic).committed;
  }

  isOwner(topic: GroupTopic, partition: number, generation: number): boolean {
    return this.group(topic).generations[partition] === generation;
  }

  /** Only ever forward, and only by the generation that owns the partition. */
  commit(topic: GroupTopic, partition: number, generation: number, offset: number): void {
    const group = this.group(topic);
    if (group.generations[partition] === generation && offset > (group.committed[partition] ?? 0))
      group.committed[partition] = offset;
  }

  /** Gives each partition to a process that is alive; under `zombie` the owner before goes on for a while. */
  rebalance(topic: GroupTopic): void {
    const group = this.group(topic);
    const { random, scheduler } = this.world;
    const members = scheduler.running(group.kind);
    if (members.length === 0) return;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const before = group.owners[partition];
      if (before && !before.done)
        before.stopAt = scheduler.now + (this.world.fault('zombie') ? random.integer(0, ZOMBIE_TICKS) : 0);
      const generation = (group.generations[partition] ?? 0) + 1;
      group.generations[partition] = generation;
      const process = random.pick(members);
      group.owners[partition] = scheduler.spawn(process, group.worker(process, partition, generation));
      this.world.log(`${topic}[${partition}] is given to ${process.name} from ${group.committed[partition]}`);
    }
  }

  private group(topic: GroupTopic): Group {
    const group = this.groups.get(topic);
    if (!group) throw new Error(`nobody subscribes to ${topic}`);
    return group;
  }
}

export function hash(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) value = (value * 31 + text.charCodeAt(i)) >>> 0;
  return value;
}
