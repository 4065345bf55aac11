import { describe, expect, test } from 'vitest';
import type { Frame } from '../../support/frames.ts';
import type { ViolationKind } from '../../support/protocol-rules.ts';
import type { Event, Recorded } from '../history.ts';
import { exitCodeOf, verdictOf } from '../verdict.ts';
import { check } from './check.ts';

const DM = 'dm:ana:bo';
const GROUP = 'grp:g';
const EPOCH = 2 ** 40;
const GEN = 7;
const at = (offset: number) => EPOCH + offset;

const message = (seq: number, offset: number, from: string, more: object = {}): Frame => {
  const id = `message-${offset}`;
  const given = { id, conversation: DM, position: at(offset), from, body: `body of ${id}`, kind: 'text' };
  return { t: 'message', seq, gen: GEN, ...given, sentAt: 1, storedAt: 1, replayed: false, ...more };
};
const copy = (seq: number, offset: number) => message(seq, offset, 'ana', { self: true });
const members = (seq: number): Frame => {
  const given = { conversation: GROUP, position: at(0), by: 'ana', at: 1, added: ['ana', 'bo'] };
  return { t: 'members', seq, gen: GEN, ...given };
};
const deleted = (seq: number): Frame => {
  return { t: 'deleted', seq, gen: GEN, conversation: DM, position: at(1), by: 'ana', at: 1 };
};
const welcome = (socket: string, acked: number, tail: number): Frame => {
  const [user, device] = socket.split('/');
  const given = { connection: `c-${socket}`, user, device, window: 32, heartbeatSeconds: 8, now: 1 };
  return { t: 'welcome', gen: GEN, acked, tail, ...given };
};

const SOCKETS = ['ana/d0/1', 'ana/d1/2', 'bo/d0/3', 'cy/d0/4'];
const openedAll = SOCKETS.flatMap((socket): Event[] => {
  const [user, device] = socket.split('/') as [string, string];
  return [
    { t: 'opened', socket, user, device, gateway: 'g' },
    { t: 'frame', socket, frame: welcome(socket, 0, 0) },
    { t: 'frame', socket, frame: { t: 'drained', seq: 0, gen: GEN } },
  ];
});
const frames = (socket: string, ...given: Frame[]): Event[] => given.map((frame) => ({ t: 'frame', socket, frame }));
const acked = (socket: string, seq: number): Event => {
  const [user, device] = socket.split('/') as [string, string];
  return { t: 'acked', user, device, gen: GEN, seq };
};
const sent = (offset: number, socket: string): Event => {
  const id = `message-${offset}`;
  return { t: 'send', via: 'socket', socket, from: socket.split('/')[0]!, id, conversation: DM, body: `body of ${id}` };
};
const accepted = (offset: number): Frame => ({ t: 'accepted', id: `message-${offset}`, at: 1 });
const stored = (offset: number): Frame => {
  return { t: 'stored', id: `message-${offset}`, conversation: DM, position: at(offset), at: 1 };
};
const logged = (offset: number, command: object): Event => {
  const given = { id: `message-${offset}`, conversation: DM, at: 1, ...command };
  return { t: 'logged', partition: 0, offset, value: JSON.stringify(given) };
};
const sendCommand = (offset: number, socket: string): object => {
  return { t: 'send', from: socket.split('/')[0], body: `body of message-${offset}`, ret: { conn: `c-${socket}` } };
};
const row = (offset: number, from: string, entry: object, conversation = DM): Event => {
  const given = { position: at(offset), id: `message-${offset}`, from, entry: JSON.stringify(entry) };
  return { t: 'row', conversation, ...given };
};
const inbox = (user: string, tail: number, devices: string[]): Event => {
  const given = { entries: 0, base: tail, tail, partial: false, unflushed: 0 };
  return { t: 'inbox', user, ...given, devices: Object.fromEntries(devices.map((device) => [device, tail])) };
};
const cursor = (user: string, device: string, conversation: string, offset: number): Event => {
  return { t: 'cursor', user, device, conversation, position: at(offset) };
};

/** Ana, who has two devices, makes a group with bo, sends to him, is answered, and deletes what she sent. Cy has no part in it. */
function rightHistory(): Recorded[] {
  const events: Event[] = [
    {
      ...{ t: 'run', seed: 1, minutes: 1, nemeses: ['redis-flushed'], inside: true },
      users: [
        { user: 'ana', devices: ['d0', 'd1'] },
        { user: 'bo', devices: ['d0'] },
        { user: 'cy', devices: ['d0'] },
      ],
      groups: [],
    },
    ...openedAll,
    ...SOCKETS.slice(0, 3).flatMap((socket) => frames(socket, members(1))),
    sent(1, 'ana/d0/1'),
    ...frames('ana/d0/1', accepted(1), stored(1), copy(2, 1)),
    ...frames('ana/d1/2', copy(2, 1)),
    ...frames('bo/d0/3', message(2, 1, 'ana')),
    acked('bo/d0/3', 2),
    { t: 'fault', nemesis: 'redis-flushed', what: 'happened', detail: '' },
    sent(2, 'bo/d0/3'),
    ...frames('bo/d0/3', accepted(2), stored(2)),
    ...frames('ana/d0/1', message(3, 2, 'bo')),
    ...frames('ana/d1/2', message(3, 2, 'bo')),
    { t: 'delete', socket: 'ana/d0/1', from: 'ana', id: 'message-3', conversation: DM, position: at(1) },
    ...frames('ana/d0/1', accepted(3), stored(3), deleted(4)),
    ...frames('ana/d1/2', deleted(4)),
    ...frames('bo/d0/3', deleted(3)),
    sent(4, 'ana/d0/1'),
    ...frames('ana/d0/1', accepted(4), stored(4), copy(5, 4)),
    ...frames('ana/d1/2', copy(5, 4)),
    ...frames('bo/d0/3', message(4, 4, 'ana')),
    acked('ana/d0/1', 5),
    acked('ana/d1/2', 5),
    acked('bo/d0/3', 4),
    { t: 'quiet', what: 'settled', detail: '' },
    inbox('ana', 5, ['d0', 'd1']),
    inbox('bo', 4, ['d0']),
    inbox('cy', 0, ['d0']),
    { t: 'session', user: 'bo', connection: 'c-bo/d0/3', device: 'd0' },
    { t: 'lag', group: 'messaging', partition: 0, records: 0 },
    row(0, 'ana', { t: 'members' }, GROUP),
    row(1, 'ana', { body: 'body of message-1' }),
    row(2, 'bo', { body: 'body of message-2' }),
    row(3, 'ana', { t: 'deleted' }),
    row(4, 'ana', { body: 'body of message-4' }),
    ...['d0', 'd1'].flatMap((device) => [cursor('ana', device, DM, 4), cursor('ana', device, GROUP, 0)]),
    cursor('bo', 'd0', DM, 4),
    cursor('bo', 'd0', GROUP, 0),
    logged(0, { t: 'create', from: 'ana', conversation: GROUP, members: ['bo'] }),
    logged(1, sendCommand(1, 'ana/d0/1')),
    logged(2, sendCommand(2, 'bo/d0/3')),
    logged(3, { t: 'delete', from: 'ana', position: at(1), ret: { conn: 'c-ana/d0/1' } }),
    logged(4, sendCommand(4, 'ana/d0/1')),
    { t: 'memory', process: 'gateway-1', mb: 90 },
  ];
  return events.map((event, index) => ({ at: index, ...event }));
}

type Change = (history: Recorded[]) => Recorded[];
type Is = (event: Recorded) => boolean;
const isFrame =
  (socket: string, type: string, seq?: number): Is =>
  (event) =>
    event.t === 'frame' && event.socket === socket && event.frame.t === type && (!seq || event.frame.seq === seq);

function indexOf(history: Recorded[], is: Is): number {
  const index = history.findIndex(is);
  if (index < 0) throw new Error('the history has no such event');
  return index;
}
const drop =
  (is: Is): Change =>
  (history) =>
    history.toSpliced(indexOf(history, is), 1);
const add =
  (is: Is, ...events: Event[]): Change =>
  (history) =>
    history.toSpliced(indexOf(history, is) + 1, 0, ...events.map((event) => ({ at: 0, ...event })));
const edit =
  (is: Is, change: object): Change =>
  (history) => {
    const index = indexOf(history, is);
    return history.toSpliced(index, 1, { ...history[index]!, ...change } as Recorded);
  };
const editFrame =
  (is: Is, change: object): Change =>
  (history) => {
    const event = history[indexOf(history, is)] as Extract<Recorded, { t: 'frame' }>;
    return edit(is, { frame: { ...event.frame, ...change } })(history);
  };
const isRow =
  (offset: number): Is =>
  (event) =>
    event.t === 'row' && event.position === at(offset);
const is =
  (t: Event['t'], user?: string): Is =>
  (event) =>
    event.t === t && (user === undefined || ('user' in event && event.user === user));
const last = is('quiet');
const reconnect = (socket: string, from: number, tail: number): Event[] => {
  const [user, device] = socket.split('/') as [string, string];
  const next = `${socket}-again`;
  return [
    { t: 'closed', socket, code: 1006, reason: '' },
    { t: 'opened', socket: next, user, device, gateway: 'g' },
    { t: 'frame', socket: next, frame: { ...welcome(socket, from, tail), connection: `c-${next}` } },
  ];
};

const CASES: [invariant: string, what: string, kind: ViolationKind, change: Change][] = [
  ['1', 'an accepted message never comes to a device', 'lost', drop(isFrame('bo/d0/3', 'message', 4))],
  ['1', 'an own copy never comes to the other device', 'lost', drop(isFrame('ana/d1/2', 'message', 5))],
  ['1', 'a deletion never comes', 'lost', drop(isFrame('bo/d0/3', 'deleted'))],
  ['1', 'a change of members never comes', 'lost', drop(isFrame('bo/d0/3', 'members'))],
  ['1', 'what was accepted is not in the log', 'lost', drop((event) => event.t === 'logged' && event.offset === 4)],
  ['1', 'it is not in the history', 'lost', drop(isRow(4))],
  [
    '1',
    'it is rejected for what is not so',
    'lost',
    add(
      last,
      ...frames('ana/d0/1', { t: 'rejected', id: 'message-4', code: 'not_a_member', message: '', retryable: false }),
    ),
  ],
  [
    '1',
    'a gap says that it is in the dead letters, and nobody refused it',
    'lost',
    editFrame(isFrame('bo/d0/3', 'message', 4), {
      ...{ t: 'gap', from: 4, to: 4, count: 1, reason: 'dead-lettered', conversations: [DM] },
    }),
  ],
  [
    '2',
    'a message comes to one who is not of the conversation',
    'wrong recipient',
    add(last, ...frames('cy/d0/4', message(1, 4, 'ana'))),
  ],
  ['2', 'a change of members comes to one who is none', 'wrong recipient', add(last, ...frames('cy/d0/4', members(1)))],
  [
    '2',
    "the sender's message comes back as one from another",
    'wrong recipient',
    editFrame(isFrame('ana/d1/2', 'message', 5), { self: undefined }),
  ],
  [
    '3',
    'a message has another body than was sent',
    'identity',
    editFrame(isFrame('bo/d0/3', 'message', 4), { body: 'x' }),
  ],
  [
    '3',
    'one id is stored at two positions',
    'identity',
    add(last, ...frames('ana/d0/1', { ...stored(4), position: at(5) })),
  ],
  [
    '3',
    'a repeat has a place of its own in the history',
    'identity',
    (history) => [...history, { at: 0, ...row(9, 'ana', { body: 'body of message-4' }) }],
  ],
  [
    '3',
    'it was refused as overloaded, and is in the log all the same',
    'identity',
    (history) =>
      editFrame(isFrame('ana/d0/1', 'accepted'), { t: 'rejected', code: 'overloaded', message: '', retryable: true })(
        history,
      ),
  ],
  [
    '3',
    'a message comes under two seqs',
    'duplicate',
    add(isFrame('bo/d0/3', 'message', 4), ...frames('bo/d0/3', message(5, 4, 'ana'))),
  ],
  ['4', 'a seq is left out', 'order', editFrame(isFrame('bo/d0/3', 'message', 4), { seq: 5 })],
  [
    '4',
    'first deliveries of a conversation come out of order',
    'order',
    (history) => {
      const swapped = editFrame(isFrame('ana/d1/2', 'message', 3), { ...message(3, 4, 'ana'), self: true })(history);
      return editFrame(isFrame('ana/d1/2', 'message', 5), { ...message(5, 2, 'bo'), self: undefined })(swapped);
    },
  ],
  [
    '4',
    'positions are not in the order of sending',
    'order',
    (history) => {
      const first = indexOf(history, (event) => event.t === 'send' && event.id === 'message-1');
      return history.toSpliced(first, 0, { at: 0, ...sent(4, 'ana/d0/1') });
    },
  ],
  [
    '4',
    'drained comes before the backlog has',
    'order',
    add(last, ...reconnect('bo/d0/3', 4, 6), ...frames('bo/d0/3-again', { t: 'drained', seq: 4, gen: GEN })),
  ],
  [
    '5',
    'a confirmed ack is forgotten',
    'redelivered',
    add(last, ...reconnect('bo/d0/3', 4, 4), ...reconnect('bo/d0/3-again', 3, 4)),
  ],
  [
    '5',
    'it comes again and says that it is new',
    'protocol',
    add(last, ...reconnect('bo/d0/3', 3, 4), ...frames('bo/d0/3-again', message(4, 4, 'ana'))),
  ],
  [
    '6',
    'the server counts as acked what was not',
    'trimmed',
    drop((event) => event.t === 'acked' && event.seq === 4 && event.user === 'bo'),
  ],
  [
    '6',
    'a gap stands for what no cap has reached',
    'trimmed',
    editFrame(isFrame('bo/d0/3', 'message', 4), {
      ...{ t: 'gap', from: 4, to: 4, count: 1, reason: 'overflow', conversations: [DM] },
    }),
  ],
  ['6', 'a durable cursor is beyond all there is', 'trimmed', edit(is('cursor', 'bo'), { position: at(99) })],
  ['7', 'it never comes to rest', 'not settled', edit(last, { what: 'gives up' })],
  ['7', 'an inbox holds what all have acked', 'not settled', edit(is('inbox', 'bo'), { entries: 1 })],
  ['7', 'an inbox is left partial', 'not settled', edit(is('inbox', 'bo'), { partial: true })],
  ['7', 'a cursor is behind', 'not settled', edit(is('inbox', 'bo'), { devices: { d0: 3 } })],
  ['7', 'a cursor is not durable', 'not settled', edit(is('cursor', 'bo'), { position: at(1) })],
  ['7', 'acks wait to be made durable', 'not settled', edit(is('inbox', 'bo'), { unflushed: 1 })],
  ['7', 'a group lags', 'not settled', edit(is('lag'), { records: 1 })],
  ['7', 'a session of a dead gateway is left', 'not settled', edit(is('session'), { connection: 'c-old' })],
  ['7', 'somebody who has all is due', 'not settled', add(last, { t: 'due', user: 'bo' })],
  ['7', 'a fault could not be healed', 'not settled', edit(is('fault'), { what: 'failed' })],
  ['8', 'a process takes more memory than it needs', 'memory', edit(is('memory'), { mb: 900 })],
  ['-', 'a nemesis never happened', 'nothing tested', edit(is('fault'), { what: 'begins' })],
];

describe('the checker', () => {
  test('finds nothing wrong with a history that is right', () => {
    const report = check(rightHistory());
    expect(report.violations).toEqual([]);
    expect(report).toMatchObject({ seed: 1, accepted: 4, faults: 1, faultKinds: 1 });
    expect(exitCodeOf(report)).toBe(0);
    expect(verdictOf(report)).toBe(
      'seed 1: 4 accepted, 1 faults of 1 kinds: 0 lost, 0 wrong recipient, 0 order violations, 0 redelivered after confirmed ack',
    );
  });

  test('allows what may be: repeats of what was not acked, refusals that are deserved, what its own ttl ended', () => {
    const again = frames('bo/d0/3-again', message(4, 4, 'ana', { replayed: true }));
    const mayBe: Change[] = [
      add(
        isFrame('bo/d0/3', 'message', 4),
        ...reconnect('bo/d0/3', 2, 4),
        ...frames('bo/d0/3-again', deleted(3)),
        ...again,
      ),
      (history) => [
        ...add(
          last,
          ...frames('ana/d0/1', {
            t: 'rejected',
            id: 'message-4',
            code: 'duplicate_conflict',
            message: '',
            retryable: false,
          }),
        )(history),
        { at: 0, ...logged(5, { ...sendCommand(5, 'ana/d0/1'), id: 'message-4' }) },
      ],
      (history) => [...history, { at: 0, ...logged(5, { ...sendCommand(4, 'ana/d0/1'), id: 'message-4' }) }],
    ];
    for (const change of mayBe) {
      const history = change(rightHistory()).map((event) =>
        event.t === 'session' && change === mayBe[0] ? { ...event, connection: 'c-bo/d0/3-again' } : event,
      );
      expect(check(history).violations).toEqual([]);
    }
  });

  test.each(CASES)('invariant %s: %s', (invariant, _, kind, change) => {
    const changed = change(rightHistory());
    // What the server takes for acked is seen at the next connection.
    const { violations } = check(invariant === '6' ? add(last, ...reconnect('bo/d0/3', 4, 4))(changed) : changed);
    expect(violations.map((violation) => violation.kind)).toContain(kind);
  });

  test('says of a run that accepted nothing, or hurt nothing, that it proves nothing', () => {
    const [run] = rightHistory();
    const report = check([run!]);
    expect(report.violations.map(({ detail }) => detail)).toEqual([
      'no message was accepted',
      'redis-flushed never happened',
    ]);
    expect(exitCodeOf(report)).toBe(3);
  });

  test('says of a run without any fault that it proves nothing, unless just that was asked for', () => {
    const unhurt = (more: object) =>
      check(
        rightHistory()
          .filter(({ t }) => t !== 'fault')
          .map((event) => (event.t === 'run' ? { ...event, nemeses: [], ...more } : event)),
      );
    const { violations } = unhurt({});
    expect(violations.map(({ kind }) => kind)).toEqual(['nothing tested']);
    expect(exitCodeOf({ violations })).toBe(3);
    const asked = unhurt({ unhurt: true });
    expect(asked.violations).toEqual([]);
    expect(verdictOf(asked)).toMatch(/^seed 1: 4 accepted, no faults asked for: 0 lost,/);
  });

  test('judges by what clients see where it can not look inside', () => {
    const inside: Event['t'][] = ['logged', 'row', 'cursor', 'inbox', 'session', 'lag', 'memory'];
    const outside = rightHistory()
      .filter(({ t }) => !inside.includes(t))
      .map((event) => (event.t === 'run' ? { ...event, inside: false } : event));
    expect(check(outside).violations).toEqual([]);
    const kinds = (change: Change) => check(change(outside)).violations.map(({ kind }) => kind);
    expect(kinds(drop(isFrame('bo/d0/3', 'message', 4)))).toContain('lost');
    expect(kinds(add(last, ...frames('cy/d0/4', message(1, 4, 'ana'))))).toContain('wrong recipient');
    expect(kinds(editFrame(isFrame('bo/d0/3', 'message', 4), { seq: 5 }))).toContain('order');
  });
});
