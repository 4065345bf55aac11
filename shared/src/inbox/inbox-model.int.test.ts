import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { InboxModel, type Run } from './inbox-model.ts';
import type { Page, Released } from './inbox-redis.ts';
import { entryAt, InboxRig, inboxEntry } from './test-inbox.ts';

/**
 * Any sequence of what happens to an inbox, on a real Redis and on a model of a hundred lines: the replies are the same, and a client
 * that takes hints and pages as a gateway does gets every entry once, in order, whatever hints are lost.
 */
const WINDOW = 4;
const DEVICES = ['d0', 'd1', 'd2'];
const rig = new InboxRig({ windowEntries: WINDOW });
beforeAll(() => rig.ready());
afterAll(() => rig.close());

const device = fc.constantFrom(...DEVICES);
const partition = fc.nat({ max: 2 });
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      is: fc.constant('enqueue'),
      partition,
      count: fc.integer({ min: 1, max: 6 }),
      lost: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      is: fc.constant('enqueue again'),
      partition,
      back: fc.nat({ max: 8 }),
      count: fc.nat({ max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('connect'), device }) },
  {
    weight: 5,
    arbitrary: fc.record({ is: fc.constant('ack'), device, of: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('refill'), device }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('published again'), device }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('disconnect'), device }) },
  {
    weight: 2,
    arbitrary: fc.record({ is: fc.constant('sync'), device, limit: fc.integer({ min: 1, max: 6 }), ack: fc.boolean() }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a gateway has written to one connection. */
class Written {
  readonly conn: string;
  to: number;
  constructor(conn: string, acked: number) {
    this.conn = conn;
    this.to = acked;
  }

  /** Entries that come in their turn are written; those of before are dropped, those of later are asked for again. */
  take({ from, to }: Run): void {
    if (from <= this.to + 1) this.to = Math.max(this.to, to);
  }
}

class World {
  readonly model = new InboxModel(WINDOW);
  readonly written = new Map<string, Written>();
  #conns = 0;
  #base = 0;

  async gen(): Promise<number> {
    return Number((await rig.meta()).gen);
  }

  page({ gap, firstSeq, entries }: Page, run: Run): void {
    expect({ gap, firstSeq, entries: entries.map(nameOf) }).toEqual({
      gap: undefined,
      firstSeq: run.from,
      entries: this.model.entries.slice(run.from - 1, run.to),
    });
  }

  released(page: Released | undefined, run: (Run & { live: boolean }) | undefined, of: string): void {
    expect(page?.live).toBe(run?.live);
    if (!page || !run) return;
    expect(page).toMatchObject({
      conn: this.written.get(of)!.conn,
      tail: this.model.tail,
      high: this.model.devices.get(of)!.high,
    });
    this.page(page, run);
    this.written.get(of)!.take(run);
  }

  async enqueue(at: number, positions: number[], lost: boolean): Promise<void> {
    const before = this.model.tail;
    const expected = this.model.enqueue(at, positions);
    const entries = positions.map((position) => inboxEntry(position, { entry: entryAt(position, { from: `p${at}` }) }));
    const { added, live, ...reply } = await rig.enqueue(entries, at);
    expect({ ...reply, added }).toMatchObject({ before, tail: this.model.tail, partial: false, added: expected.added });
    const hints = new Map(live.map(({ conn, fromSeq, toSeq }) => [conn, { from: fromSeq, to: toSeq }]));
    expect(hints).toEqual(expected.hints);
    if (lost) return;
    for (const written of this.written.values()) {
      const hint = hints.get(written.conn);
      if (hint) written.take(hint);
    }
  }

  async connect(name: string): Promise<void> {
    const conn = `c${this.#conns++}`;
    const replaced = this.model.connect(name, conn);
    const reply = await rig.connect(name, conn);
    const { cursor } = this.model.devices.get(name)!;
    expect(reply).toMatchObject({ is: 'ok', acked: cursor, tail: this.model.tail });
    expect(reply.is === 'ok' && reply.replaced?.conn).toBe(replaced);
    this.written.set(name, new Written(conn, cursor));
    await this.replay(name);
  }

  async replay(name: string): Promise<void> {
    const reply = await rig.replay(this.written.get(name)!.conn);
    if (reply.is !== 'page') throw new Error(reply.is);
    this.released(reply.page, this.model.release(name), name);
  }

  /** The gateway says what it has really written; an HTTP ack may have gone beyond that. */
  async refill(name: string): Promise<void> {
    const { conn, to } = this.written.get(name)!;
    const reply = await rig.refill(conn, await this.gen(), to + 1);
    if (this.model.devices.get(name)!.cursor > to) {
      expect(reply.is).toBe('close');
      return this.connect(name);
    }
    if (reply.is !== 'page') throw new Error(reply.is);
    this.released(reply.page, this.model.release(name, to), name);
  }

  async ack(name: string, seq: number): Promise<void> {
    const { conn } = this.written.get(name)!;
    const position = seq === 0 ? 0 : Number(this.model.entries[seq - 1]!.split('/')[1]);
    const reply = await rig.ack(name, await this.gen(), seq, position, conn);
    if (reply.is !== 'ok') throw new Error(reply.is);
    const run = this.model.ack(name, seq);
    expect(reply).toMatchObject({ acked: this.model.devices.get(name)!.cursor, tail: this.model.tail });
    this.released(reply.page, run, name);
  }

  async sync(name: string, limit: number, thenAck: boolean): Promise<void> {
    const reply = await rig.sync(name, { limit });
    if (reply.is !== 'page') throw new Error(reply.is);
    const { high, ...run } = this.model.sync(name, limit);
    expect(reply).toMatchObject({ acked: run.from - 1, tail: this.model.tail, high, reached: run.to });
    this.page(reply.page, run);
    if (!thenAck) return;
    expect(await rig.ack(name, reply.gen, run.to, 0, '')).toMatchObject({ is: 'ok', acked: run.to });
    this.model.devices.get(name)!.cursor = run.to;
  }

  /** In Redis: the tail of all entries ever put in, each once, nothing missing that a device has not acked; cursors as in the model. */
  async invariants(): Promise<void> {
    const meta = await rig.meta();
    const base = Number(meta.base);
    expect(meta).toMatchObject({ partial: '0', tail: String(this.model.tail), over: '0', aged: '0' });
    const elements = await rig.store.client.lrange(rig.keys().list, 0, -1);
    expect(elements.map((element) => nameOf(element.slice(element.indexOf('{'))))).toEqual(
      this.model.entries.slice(base),
    );
    expect(base).toBeGreaterThanOrEqual(this.#base);
    if (this.model.devices.size > 0) expect(base).toBeLessThanOrEqual(this.model.lowest);
    else expect(base).toBe(0);
    this.#base = base;
    for (const [name, { cursor }] of this.model.devices) expect(await rig.cursor(name)).toBe(cursor);
  }

  /** Every device takes and acks all that there is: nothing is skipped, and nothing is left. */
  async drain(): Promise<void> {
    for (const name of this.model.devices.keys()) {
      await this.connect(name);
      for (let turns = 0; this.model.devices.get(name)!.cursor < this.model.tail; turns++) {
        expect(turns).toBeLessThan(this.model.tail + 1);
        await this.ack(name, this.written.get(name)!.to);
      }
    }
    if (this.model.devices.size === 0) return;
    expect(await rig.listed()).toEqual([]);
    expect(await rig.meta()).toMatchObject({ base: String(this.model.tail), bytes: '0' });
  }
}

const nameOf = (entry: string): string => {
  const { from, position } = JSON.parse(entry) as { from: string; position: number };
  return `${from.slice(1)}/${position}`;
};

async function take(world: World, one: Step): Promise<void> {
  const { model } = world;
  switch (one.is) {
    case 'enqueue': {
      const { partition: at, count, lost } = one as Extract<Step, { lost: boolean }>;
      return world.enqueue(
        at,
        Array.from({ length: count }, (_, i) => model.last(at) + 1 + 2 * i),
        lost,
      );
    }
    case 'enqueue again': {
      const { partition: at, back, count } = one as Extract<Step, { back: number }>;
      const first = Math.max(1, model.last(at) - back);
      return world.enqueue(
        at,
        Array.from({ length: back + count + 1 }, (_, i) => first + i),
        false,
      );
    }
  }
  const { device: name } = one as Extract<Step, { device: string }>;
  const session = model.devices.get(name)?.session;
  if (one.is === 'sync') {
    const { limit, ack } = one as Extract<Step, { limit: number }>;
    return world.sync(name, limit, ack);
  }
  if (one.is === 'connect' || !session) return one.is === 'disconnect' ? undefined : world.connect(name);
  const { to } = world.written.get(name)!;
  if (one.is === 'ack') return world.ack(name, Math.floor((one as Extract<Step, { of: number }>).of * to));
  if (one.is === 'refill') return world.refill(name);
  if (one.is === 'published again') return world.replay(name);
  model.disconnect(name);
  await rig.disconnect(session.conn);
}

it('does what the model does, and loses, repeats or skips nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }), async (steps) => {
      await rig.whole();
      const world = new World();
      for (const one of steps) {
        await take(world, one);
        await world.invariants();
      }
      await world.drain();
    }),
    { numRuns: 25, interruptAfterTimeLimit: 40_000, markInterruptAsFailure: false },
  );
});
