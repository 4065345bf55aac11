import type { IncomingCommand, UserEvent } from '@restante/shared/contract/events';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type FrameContext, flushAck, onFrame } from './client-frames.ts';
import type { Connection } from './connection.ts';
import { createDeliver } from './deliver.ts';
import type { GatewayLog } from './log.ts';
import { TokenBucket } from './rate-limit.ts';
import { SendPath } from './send.ts';
import { type TestSocket, testConnection } from './test-socket.ts';

/** A machine that does much else may be slow. */
const WITHIN = { timeout: 20_000 };

/** A log whose answers come when the test says so. */
class TestLog {
  readonly events: UserEvent[] = [];
  readonly commands: { command: IncomingCommand; accept: () => void; refuse: (error: Error) => void }[] = [];
  open = true;
  /** What an `accepted` waits for. */
  held: Promise<void> | undefined;

  paced(): Promise<void> | undefined {
    return this.held;
  }
  accepting() {
    return this.open ? { ok: true as const } : { ok: false as const, why: 'the log is away', retryAfterMs: 500 };
  }
  command(command: IncomingCommand): Promise<void> {
    return new Promise((accept, refuse) => this.commands.push({ command, accept, refuse }));
  }
  event(event: UserEvent): Promise<void> {
    this.events.push(event);
    return this.open ? Promise.resolve() : Promise.reject(new Error('away'));
  }
}

let log: TestLog;
let connection: Connection;
let socket: TestSocket;
let context: FrameContext;
let refills: string[];
let thrownOut: number[];
let crowded = false;
/** Frames that are neither sends nor acks, which a connection may send at once. */
const FRAMES = 20;

function begin(burst = 1000): void {
  ({ connection, socket } = testConnection());
  log = new TestLog();
  refills = [];
  thrownOut = [];
  crowded = false;
  const gatewayLog = log as unknown as GatewayLog;
  context = {
    slot: () => 3,
    lease: () => 'lease',
    windowEntries: 256,
    prefetchEntries: 256,
    windowBytes: 1000,
    crowded: () => crowded,
    sendPath: new SendPath(gatewayLog, { perSecond: 1, burst, ofAllPerSecond: 1_000_000 }),
    log: gatewayLog,
    refill: ({ expect: from }, reason) => refills.push(`${from} ${reason}`),
    guard: { frames: (nowMs) => new TokenBucket(1, FRAMES, nowMs) },
    throwOut: (thrown, code) => {
      thrown.closed = true;
      thrownOut.push(code);
    },
  };
}
beforeEach(() => begin());

const frame = (value: object) => onFrame(connection, JSON.stringify(value), context);
const send = (id = 'message-1') => frame({ t: 'send', id, to: 'bob', body: 'hello' });
const types = () => socket.take().map(({ t, id, code }) => [t, id, code].filter(Boolean).join(' '));
/** What was answered in this turn of the event loop has gone out at the end of the next. */
const settled = async () => {
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
};
const stored = (id: string) => {
  const deliver = createDeliver(new Map([['c1', connection]]), {
    windowEntries: 10,
    prefetchEntries: 10,
    windowBytes: 1000,
    now: () => 1,
    crowded: () => false,
    answerCall: () => false,
    welcome: () => {},
    refill: () => {},
    repeatAck: () => {},
    close: () => {},
  });
  deliver({ ops: [{ t: 'stored', conn: 'c1', id, conversation: 'dm:alice:bob', position: 1, at: 1 }], entries: [] });
};

describe('send', () => {
  it('goes to the log with who sends it, where, and where the answer goes', () => {
    send();
    expect(log.commands[0]!.command).toMatchObject({
      t: 'send',
      from: 'alice',
      conversation: 'dm:alice:bob',
      id: 'message-1',
      body: 'hello',
      ret: { conn: 'c1', slot: 3 },
    });
    expect(socket.take()).toEqual([]);
  });

  it('is accepted once the log has it, and stored never before', async () => {
    send();
    stored('message-1');
    expect(types()).toEqual([]);
    log.commands[0]!.accept();
    await settled();
    expect(types()).toEqual(['accepted message-1', 'stored message-1']);
    stored('message-1');
    await settled();
    expect(types()).toEqual(['stored message-1']);
    expect(connection.sending!.size).toBe(0);
  });

  it('is in the log at once while messaging is behind, and answered later', async () => {
    let letGo = () => {};
    log.held = new Promise((resolve) => {
      letGo = resolve;
    });
    send();
    log.commands[0]!.accept();
    await settled();
    stored('message-1');
    expect(types()).toEqual([]);
    letGo();
    await settled();
    expect(types()).toEqual(['accepted message-1', 'stored message-1']);
  });

  it('that is repeated before its answer is answered each time, accepted before stored', async () => {
    send();
    send();
    stored('message-1');
    log.commands[0]!.accept();
    log.commands[1]!.accept();
    await settled();
    expect(types()).toEqual(['accepted message-1', 'stored message-1', 'accepted message-1']);
  });

  it('is rejected where the log did not take it, as retryable', async () => {
    send();
    log.commands[0]!.refuse(Object.assign(new Error('away'), { retryAfterMs: 700 }));
    await settled();
    expect(socket.take()).toEqual([
      {
        t: 'rejected',
        id: 'message-1',
        code: 'overloaded',
        message: expect.any(String),
        retryable: true,
        retryAfterMs: 700,
      },
    ]);
  });

  it('is refused at once where nothing would come of it', () => {
    log.open = false;
    send();
    expect(types()).toEqual(['rejected message-1 overloaded']);
    log.open = true;
    frame({ t: 'send', id: 'message-2', conversation: 'dm:bob:carol', body: '' });
    expect(types()).toEqual(['rejected message-2 not_a_member']);
    frame({ t: 'send', id: 'message-3', to: 'bob' });
    expect(types()).toEqual(['rejected message-3 bad_field']);
    expect(log.commands).toEqual([]);
  });

  it('is limited by rate, and says for how long', () => {
    begin(2);
    for (const id of ['message-1', 'message-2', 'message-3']) send(id);
    expect(log.commands).toHaveLength(2);
    const [rejected] = socket.take();
    expect(rejected).toMatchObject({ t: 'rejected', id: 'message-3', code: 'rate_limited', retryable: true });
    expect(rejected!.retryAfterMs).toBeGreaterThan(0);
  });

  it('of which too many are unanswered is refused, so that one client can not fill the gateway', () => {
    begin(10_000);
    for (let i = 0; i < 2001; i++) send(`message-${i}`);
    expect(log.commands).toHaveLength(2000);
    expect(types()).toEqual(['rejected message-2000 overloaded']);
  });

  it('writes nothing to a connection that is closed when the answer comes', async () => {
    send();
    connection.closed = true;
    log.commands[0]!.accept();
    await settled();
    expect(socket.take()).toEqual([]);
  });
});

describe('ack', () => {
  beforeEach(() => {
    connection.expect = 6;
    connection.written = 5;
    connection.unacked = [1, 2, 3, 4, 5].map((seq) => ({ seq, position: seq * 100, bytes: 200 }));
    connection.unackedBytes = 1000;
  });

  it('goes to the log once for several, with the position that was sent at that seq', async () => {
    for (const seq of [1, 2, 4]) frame({ t: 'ack', seq, gen: 1 });
    await vi.waitFor(() => expect(log.events).toHaveLength(1), WITHIN);
    expect(log.events[0]).toEqual({
      t: 'acked',
      user: 'alice',
      device: 'd1',
      conn: 'c1',
      slot: 3,
      gen: 1,
      seq: 4,
      position: 400,
    });
    expect(connection.unacked).toHaveLength(1);
    expect(socket.take()).toEqual([]);
  });

  it('is gathered for a while on a live connection', async () => {
    connection.drained = true;
    frame({ t: 'ack', seq: 3, gen: 1 });
    expect(log.events).toEqual([]);
    flushAck(connection, context);
    flushAck(connection, context);
    expect(log.events).toMatchObject([{ seq: 3 }]);
  });

  it('of many entries is not gathered any longer, for the next may wait for room in the window', () => {
    connection.drained = true;
    connection.expect = 101;
    connection.written = 100;
    connection.unacked = Array.from({ length: 100 }, (_, i) => ({ seq: i + 1, position: i + 1, bytes: 10 }));
    for (let seq = 1; seq <= 100; seq++) frame({ t: 'ack', seq, gen: 1 });
    expect(log.events).toMatchObject([{ seq: 64 }]);
  });

  it('of all that was written while a backlog drains waits no longer than this turn', async () => {
    for (const seq of [2, 5]) frame({ t: 'ack', seq, gen: 1 });
    expect(log.events).toMatchObject([{ seq: 5 }]);
    connection.expect = 8;
    connection.written = 7;
    connection.unacked = [6, 7].map((seq) => ({ seq, position: seq * 100, bytes: 200 }));
    frame({ t: 'ack', seq: 7, gen: 1 });
    await settled();
    expect(log.events).toMatchObject([{ seq: 5 }, { seq: 7 }]);
  });

  it.each([
    [{ seq: 6, gen: 1 }, 'was never sent'],
    [{ seq: 3, gen: 2 }, "is not the inbox's"],
  ])('of what was not sent moves nothing: %j', async (ack, message) => {
    frame({ t: 'ack', ...ack });
    expect(socket.take()).toMatchObject([{ t: 'error', code: 'bad_field', message: expect.stringContaining(message) }]);
    await settled();
    expect(log.events).toEqual([]);
    expect(connection.acked).toBe(0);
  });

  it('of what is acked already is no news', async () => {
    frame({ t: 'ack', seq: 3, gen: 1 });
    await vi.waitFor(() => expect(log.events).toHaveLength(1), WITHIN);
    for (const seq of [3, 2, 0]) frame({ t: 'ack', seq, gen: 1 });
    await settled();
    expect(log.events).toHaveLength(1);
    expect(socket.take()).toEqual([]);
  });

  it('asks for more once half of the window is free, and publishes the ack before', () => {
    connection.behind = true;
    frame({ t: 'ack', seq: 2, gen: 1 });
    expect(refills).toEqual([]);
    frame({ t: 'ack', seq: 3, gen: 1 });
    expect(refills).toEqual(['6 window']);
    expect(log.events).toMatchObject([{ t: 'acked', seq: 3 }]);
    expect(connection.behind).toBe(false);
  });

  it('of less than half a window asks for no more while the gateway keeps all that it may for others', () => {
    connection.behind = true;
    connection.expect = 202;
    connection.written = 201;
    connection.unacked = Array.from({ length: 200 }, (_, i) => ({ seq: i + 2, position: i + 2, bytes: 1 }));
    connection.unackedBytes = 200;
    crowded = true;
    frame({ t: 'ack', seq: 50, gen: 1 });
    expect(refills).toEqual([]);
    crowded = false;
    frame({ t: 'ack', seq: 51, gen: 1 });
    expect(refills).toEqual(['202 window']);
  });
});

describe('nack', () => {
  beforeEach(() => {
    connection.expect = 4;
    connection.written = 3;
    connection.unacked = [2, 3].map((seq) => ({ seq, position: seq * 100, bytes: 10 }));
    connection.acked = 1;
  });

  it('goes to the log with the position, after the acks before it', () => {
    connection.drained = true;
    frame({ t: 'ack', seq: 2, gen: 1 });
    frame({ t: 'nack', seq: 3, gen: 1, reason: 'no key' });
    expect(log.events).toMatchObject([
      { t: 'acked', seq: 2 },
      { t: 'nacked', seq: 3, position: 300, reason: 'no key' },
    ]);
  });

  it.each([
    { seq: 1, gen: 1 },
    { seq: 4, gen: 1 },
    { seq: 3, gen: 2 },
  ])('of what is not open is an error: %j', (nack) => {
    frame({ t: 'nack', ...nack, reason: '' });
    expect(types()).toEqual(['error bad_field']);
    expect(log.events).toEqual([]);
  });

  it('that the log did not take is said, so that it is sent again', async () => {
    log.open = false;
    frame({ t: 'nack', seq: 3, gen: 1, reason: '' });
    await settled();
    expect(types()).toEqual(['error overloaded']);
  });
});

describe('what else comes', () => {
  it('is answered, or said to be wrong, and the connection stays', () => {
    frame({ t: 'ping', n: 7 });
    frame({ t: 'ping' });
    onFrame(connection, 'garbage', context);
    frame({ t: 'unknown' });
    frame({ t: 'read', conversation: 'dm:bob:alice', position: 1 });
    const now = expect.any(Number);
    const message = expect.any(String);
    expect(socket.take()).toEqual([
      { t: 'pong', n: 7, now },
      { t: 'pong', now },
      { t: 'error', code: 'bad_frame', message },
      { t: 'error', code: 'bad_frame', message },
      { t: 'error', code: 'bad_field', message },
    ]);
    expect(connection.closed).toBe(false);
  });

  it.each([
    ['no JSON', 'garbage'],
    ['pings', '{"t":"ping"}'],
    ['acks of the future', '{"t":"ack","seq":9,"gen":1}'],
    ['watches', '{"t":"watch","users":["bob"]}'],
  ])('without end closes with 4029, and what comes behind is not read: %s', (_, text) => {
    for (let i = 0; i < FRAMES; i++) onFrame(connection, text, context);
    expect(thrownOut).toEqual([]);
    const { length: answers } = socket.take();
    for (let i = 0; i < 10; i++) onFrame(connection, text, context);
    expect(thrownOut).toEqual([4029]);
    expect(answers).toBeLessThanOrEqual(FRAMES);
    expect(socket.take()).toEqual([]);
  });

  it('is sends and acks, as many as there are entries', () => {
    for (let i = 0; i < 10 * FRAMES; i++) send(`message-${i}`);
    expect(thrownOut).toEqual([]);
  });

  it('goes to notification with where it came from', () => {
    frame({ t: 'read', conversation: 'dm:alice:bob', position: 9 });
    frame({ t: 'watch', users: ['bob'] });
    const from = { user: 'alice', device: 'd1', conn: 'c1', slot: 3 };
    expect(log.events).toMatchObject([
      { t: 'read', ...from, conversation: 'dm:alice:bob', position: 9 },
      { t: 'watch', ...from, lease: 'lease', users: ['bob'] },
    ]);
  });
});
