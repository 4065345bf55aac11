import type { ConnectionState, Violation } from '../../support/protocol-rules.ts';
import type { Recorded } from '../history.ts';
import { checkAtRest } from './at-rest.ts';
import { DeviceBook } from './device-book.ts';
import { Sends } from './sends.ts';
import { type Granted, nameOf, type Truth, truthOfAnswers, truthOfLog } from './truth.ts';

export type Report = {
  seed: number;
  accepted: number;
  /** Faults that really were, and of how many kinds. */
  faults: number;
  faultKinds: number;
  /** No fault was asked for. */
  unhurt: boolean;
  violations: Violation[];
};

/** Below this, a ttl may have run out before its message could come to everybody. */
const SHORT_TTL_SECONDS = 3_600;

/** Holds a recorded history against DESIGN.md's invariants 1 to 8. It has no clock and asks nobody: the same history, the same report. */
export function check(events: readonly Recorded[]): Report {
  const run = events.find((event) => event.t === 'run');
  if (!run) throw new Error('the history does not begin with what the run was');
  const truth = run.inside ? truthOfLog(events) : truthOfAnswers(events, run.groups);
  const { books, sends, stale } = replay(events, truth, run.inside);
  sends.check();
  const happened = events.flatMap((event) => (event.t === 'fault' && event.what === 'happened' ? [event.nemesis] : []));
  const violations = [
    ...books.flatMap((book) => [...book.rules.violations, ...book.violations]),
    ...sends.violations,
    ...checkNothingLost(events, truth, books),
    ...(run.inside ? [...checkAtRest(events, truth, books), ...stale] : []),
    ...checkSomethingTested(sends.accepted, run, happened),
  ];
  const { seed, unhurt = false } = run;
  const faultKinds = new Set(happened).size;
  return { seed, accepted: sends.accepted, faults: happened.length, faultKinds, unhurt, violations };
}

function replay(events: readonly Recorded[], truth: Truth, inside: boolean) {
  const books = new Map<string, DeviceBook>();
  const sockets = new Map<string, { book: DeviceBook; state: ConnectionState; connection?: string }>();
  const sends = new Sends(truth, inside);
  const stale: Violation[] = [];
  const bookOf = (user: string, device: string): DeviceBook => {
    const key = `${user}/${device}`;
    const book = books.get(key) ?? new DeviceBook(user, device, truth, inside);
    books.set(key, book);
    return book;
  };
  for (const [index, event] of events.entries()) {
    sends.take(event);
    switch (event.t) {
      case 'opened': {
        const book = bookOf(event.user, event.device);
        sockets.set(event.socket, { book, state: book.rules.opened(event.socket) });
        break;
      }
      case 'frame': {
        const socket = sockets.get(event.socket);
        if (!socket) throw new Error(`${event.socket} was never opened`);
        if (event.frame.t === 'welcome') socket.connection = event.frame.connection as string;
        socket.book.frame(socket.state, event.frame, index);
        break;
      }
      case 'closed':
        sockets.delete(event.socket);
        break;
      case 'acked':
        bookOf(event.user, event.device).rules.acked(event.gen, event.seq);
        break;
      case 'skipped':
        bookOf(event.user, event.device).skipped(event.gen, event.seq, event.how);
        break;
      case 'synced':
        bookOf(event.user, event.device).synced(event, index);
        break;
      case 'session': {
        const { user, device, connection } = event;
        if ([...sockets.values()].some((socket) => socket.connection === connection)) break;
        const detail = `${user}/${device} has a session of ${connection}, which is not open`;
        stale.push({ kind: 'not settled', detail });
        break;
      }
    }
  }
  return { books: [...books.values()], sends, stale };
}

/** Invariant 1: each device of each member has what was sent, or was told why not. */
function checkNothingLost(events: readonly Recorded[], truth: Truth, books: readonly DeviceBook[]): Violation[] {
  const run = events.find((event) => event.t === 'run')!;
  const firstDevices = new Set(run.users.map(({ user, devices }) => `${user}/${devices[0]}`));
  const sentAt = new Map<string, number>();
  for (const [index, event] of events.entries()) {
    if (event.t !== 'send' && event.t !== 'delete') continue;
    const name = nameOf(event.from, event.id);
    if (!sentAt.has(name)) sentAt.set(name, index);
  }
  const violations: Violation[] = [];
  for (const book of books) {
    for (const [name, granted] of truth.granted) {
      const sent = sentAt.get(name);
      const isFirst = firstDevices.has(`${book.user}/${book.device}`);
      if (!owes(book, granted, { isFirst, sent, books, truth }) || book.has(granted, true)) continue;
      violations.push({
        kind: 'lost',
        detail: `${granted.kind} ${name} (${granted.conversation} ${granted.position}) never came to ${book.user}/${book.device}`,
      });
    }
  }
  return violations;
}

type Circumstances = { isFirst: boolean; sent: number | undefined; books: readonly DeviceBook[]; truth: Truth };

function owes(book: DeviceBook, granted: Granted, { isFirst, sent, books, truth }: Circumstances): boolean {
  if (book.knownAt === undefined) return false;
  const knewBefore = sent !== undefined && book.knownAt < sent;
  if (!isFirst && !knewBefore) return false;
  if (granted.ttlSeconds !== undefined && granted.ttlSeconds < SHORT_TTL_SECONDS) return false;
  // Its text is gone for good, for whoever had not got it.
  if (granted.kind === 'message' && isDeleted(granted, truth)) return false;
  if (granted.recipients.has(book.user)) return true;
  if (granted.from !== book.user || granted.kind === 'members') return false;
  const known = books.filter(
    ({ user, knownAt }) => user === book.user && knownAt !== undefined && sent !== undefined && knownAt < sent,
  );
  return known.length > 1;
}

function isDeleted({ conversation, position, from, id }: Granted, truth: Truth): boolean {
  if (position !== undefined) return truth.deleted.has(`${conversation} ${position}`);
  // Without the log the place of what was deleted is its sender's to know: by the id that the deletion has.
  return truth.granted.has(nameOf(from, `${id}-deleted`));
}

/** A run that accepted nothing says nothing, nor does one that hurt nothing, where that was not asked for. */
function checkSomethingTested(
  accepted: number,
  { nemeses, unhurt }: { nemeses: readonly string[]; unhurt?: boolean },
  happened: readonly string[],
): Violation[] {
  const violations: Violation[] = [];
  if (accepted === 0) violations.push({ kind: 'nothing tested', detail: 'no message was accepted' });
  if (nemeses.length === 0 && !unhurt)
    violations.push({ kind: 'nothing tested', detail: 'nothing was hurt, and --nemeses none was not given' });
  for (const nemesis of nemeses)
    if (!happened.includes(nemesis)) violations.push({ kind: 'nothing tested', detail: `${nemesis} never happened` });
  return violations;
}
