import { FLUSH, SLOWEST_WRITE } from './config.ts';
import { ensure } from './dynamo.ts';
import type { ConversationName, DeviceName, User } from './records.ts';
import type { Script } from './redis.ts';
import type { Process, Steps } from './scheduler.ts';
import type { World } from './world.ts';

type Marks = Record<User, Record<DeviceName, Record<ConversationName, number>>>;

/**
 * The durable cursors: conversation → position that a device has acked (decision 11). The ack script leaves its marks in
 * Redis, and they stay there until DynamoDB has them; any notification process writes them.
 */
export class Cursors {
  private readonly world: World;
  /** Where the rule is off: what this process still has to write. It dies with it. */
  private memory: Marks = {};

  constructor(world: World) {
    this.world = world;
  }

  mark(at: Script, user: User, device: DeviceName, marks: Record<ConversationName, number>): void {
    const store: Marks = this.world.rule('dirtyMarks') ? at.state.dirty : this.memory;
    store[user] ??= {};
    store[user][device] ??= {};
    const kept = store[user][device];
    for (const [conversation, position] of Object.entries(marks))
      kept[conversation] = Math.max(position, kept[conversation] ?? -1);
  }

  /** Whoever held marks in memory only has died. */
  forgetMemory(): void {
    this.memory = {};
  }

  *flusher(process: Process): Steps {
    const { random, redis } = this.world;
    for (;;) {
      yield random.integer(FLUSH / 2, FLUSH * 2);
      if (this.world.rule('dirtyMarks')) {
        for (const user of this.world.users) {
          const marks = yield* redis.forUser(process, user, '', (at) => copyOf(at.state.dirty[user] ?? {}));
          yield* this.flushUser(process, user, marks);
        }
      } else {
        const marks = this.memory;
        this.memory = {};
        for (const [user, ofUser] of Object.entries(marks)) yield* this.flushUser(process, user, ofUser);
      }
    }
  }

  private *flushUser(process: Process, user: User, marks: Marks[User]): Steps {
    const { random } = this.world;
    for (const [device, positions] of Object.entries(marks)) {
      for (const [conversation, position] of Object.entries(positions)) {
        yield this.world.fault('dynamo') && !this.world.calm ? random.integer(0, SLOWEST_WRITE) : undefined;
        this.write(user, device, conversation, position);
        yield* this.world.redis.forUser(process, user, '', (at) => {
          const kept = at.state.dirty[user]?.[device];
          if (kept?.[conversation] === position) delete kept[conversation];
        });
      }
    }
  }

  /** A conditional put: only ever forward, whoever was held up in between. */
  private write(user: User, device: DeviceName, conversation: ConversationName, position: number): void {
    const ofDevice = ensure(
      ensure(this.world.dynamo.cursors, user, () => new Map()),
      device,
      () => new Map<string, number>(),
    );
    if (!this.world.rule('cursorsForward') || position > (ofDevice.get(conversation) ?? -1))
      ofDevice.set(conversation, position);
  }
}

/** Only what there is to write: most users have nothing, most of the time. */
function copyOf(marks: Marks[User]): Marks[User] {
  const copy: Marks[User] = {};
  for (const [device, positions] of Object.entries(marks))
    if (Object.keys(positions).length > 0) copy[device] = { ...positions };
  return copy;
}
