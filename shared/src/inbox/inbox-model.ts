/** How far a session was released, and whether it gets what comes at once. */
type ModelSession = { conn: string; live: boolean; sent: number | undefined };
type ModelDevice = { cursor: number; high: number; session: ModelSession | undefined };
export type Run = { from: number; to: number };

/**
 * What the scripts of an inbox do, without Redis, lists or trimming: every entry ever put in, a cursor per device, how far each session was
 * released. No caps and no age.
 */
export class InboxModel {
  /** The entry at index i has seq i + 1. */
  readonly entries: string[] = [];
  readonly devices = new Map<string, ModelDevice>();
  readonly #last = new Map<number, number>();
  readonly #windowEntries: number;

  constructor(windowEntries: number) {
    this.#windowEntries = windowEntries;
  }

  get tail(): number {
    return this.entries.length;
  }

  /** Below or at it nothing need be kept. */
  get lowest(): number {
    return Math.min(...[...this.devices.values()].map(({ cursor }) => cursor));
  }

  last(partition: number): number {
    return this.#last.get(partition) ?? 0;
  }

  /** @returns which positions are new, and what each live session gets of them */
  enqueue(partition: number, positions: readonly number[]): { added: boolean[]; hints: Map<string, Run> } {
    const before = this.tail;
    const added = positions.map((position) => {
      if (position <= this.last(partition)) return false;
      this.#last.set(partition, position);
      this.entries.push(`${partition}/${position}`);
      return true;
    });
    const hints = new Map<string, Run>();
    for (const { cursor, session } of this.devices.values()) {
      if (!session?.live || this.tail === before) continue;
      const to = Math.min(this.tail, cursor + this.#windowEntries);
      if (session.sent === before && to > before) {
        hints.set(session.conn, { from: before + 1, to });
        session.sent = to;
      }
      session.live = session.sent === this.tail;
    }
    return { added, hints };
  }

  /** @returns the connection that was replaced */
  connect(name: string, conn: string): string | undefined {
    const device = this.#device(name);
    const replaced = device.session?.conn;
    this.#end(device);
    device.session = { conn, live: false, sent: undefined };
    return replaced;
  }

  disconnect(name: string): void {
    const device = this.devices.get(name);
    if (device) this.#end(device);
  }

  /** What is released next to a session, from the furthest of what it was sent and what is acked. */
  release(name: string, writtenTo?: number): Run & { live: boolean } {
    const { cursor, session } = this.devices.get(name)!;
    const from = writtenTo ?? Math.max(session!.sent ?? 0, cursor);
    const to = Math.min(this.tail, Math.max(from, cursor + this.#windowEntries));
    session!.sent = to;
    session!.live = to === this.tail;
    return { from: from + 1, to, live: session!.live };
  }

  /** @returns the page that the ack releases, where the session drains */
  ack(name: string, seq: number): (Run & { live: boolean }) | undefined {
    const device = this.devices.get(name)!;
    device.cursor = Math.max(device.cursor, seq);
    const { session } = device;
    return session && !session.live && session.sent !== undefined ? this.release(name) : undefined;
  }

  sync(name: string, limit: number): Run & { high: number } {
    const device = this.#device(name);
    const { cursor } = device;
    // What its connection was sent may come again.
    const high = Math.max(device.high, device.session?.sent ?? 0);
    const to = Math.min(this.tail, cursor + limit);
    device.high = Math.max(high, to);
    return { from: cursor + 1, to, high };
  }

  /** The first device starts at the first entry, a later one at the tail. */
  #device(name: string): ModelDevice {
    const known = this.devices.get(name);
    const device = known ?? { cursor: this.devices.size === 0 ? 0 : this.tail, high: 0, session: undefined };
    this.devices.set(name, device);
    return device;
  }

  #end(device: ModelDevice): void {
    device.high = Math.max(device.high, device.session?.sent ?? 0);
    device.session = undefined;
  }
}
