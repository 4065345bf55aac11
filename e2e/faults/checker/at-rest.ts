import type { Violation } from '../../support/protocol-rules.ts';
import type { Recorded } from '../history.ts';
import type { DeviceBook } from './device-book.ts';
import { nameOf, placeOf, type Truth } from './truth.ts';

/** A service's own is about 120; what it holds beside is bounded by its settings (invariant 8). */
const MEMORY_MAX_MB = 512;

/** Invariant 7, from what the stores hold after the quiet: nothing waits, and the history is the log's. */
export function checkAtRest(events: readonly Recorded[], truth: Truth, books: readonly DeviceBook[]): Violation[] {
  const violations: Violation[] = [];
  const unsettled = (detail: string) => violations.push({ kind: 'not settled', detail });
  for (const event of events) {
    switch (event.t) {
      case 'inbox': {
        const { user, entries, base, tail, partial, unflushed, devices } = event;
        if (partial) unsettled(`the inbox of ${user} is partial`);
        if (entries !== 0 || base !== tail)
          unsettled(`the inbox of ${user} holds ${entries} entries (${base} to ${tail}) that all devices have acked`);
        if (unflushed > 0) unsettled(`${unflushed} cursors of ${user} are not durable`);
        for (const book of books.filter((one) => one.user === user && one.knownAt !== undefined))
          if (devices[book.device] !== tail)
            unsettled(`${user}/${book.device} has acked all, its cursor is ${devices[book.device]} of ${tail}`);
        break;
      }
      case 'due':
        unsettled(`${event.user} is due, and has acked all`);
        break;
      case 'lag':
        if (event.records !== 0) unsettled(`${event.group} lags by ${event.records} in partition ${event.partition}`);
        break;
      case 'quiet':
        if (event.what === 'gives up') unsettled(`it did not come to rest: ${event.detail}`);
        break;
      case 'fault':
        if (event.what === 'failed') unsettled(`${event.nemesis} could not be healed: ${event.detail}`);
        break;
    }
  }
  return [...violations, ...checkHistory(events, truth), ...checkCursors(events, truth, books), ...checkMemory(events)];
}

/** Every record that makes an entry is one item at its own position, and there are no others. */
function checkHistory(events: readonly Recorded[], truth: Truth): Violation[] {
  const violations: Violation[] = [];
  const rows = events.filter((event) => event.t === 'row');
  const there = new Set(rows.map(({ conversation, position }) => placeOf(conversation, position)));
  for (const [place, { from, id }] of truth.at)
    if (!there.has(place))
      violations.push({ kind: 'lost', detail: `${nameOf(from, id)} is not in the history at ${place}` });
  for (const { conversation, position, from, id, entry } of rows) {
    const granted = truth.at.get(placeOf(conversation, position));
    const { body } = JSON.parse(entry) as { body?: string };
    if (granted?.from !== from || granted.id !== id || granted.body !== body)
      violations.push({
        kind: 'identity',
        detail: `the history has ${nameOf(from, id)} at ${placeOf(conversation, position)}, the log does not`,
      });
  }
  return violations;
}

/** What a device has acked is what its durable cursors say: they are all that is left of it when Redis is lost. */
function checkCursors(events: readonly Recorded[], truth: Truth, books: readonly DeviceBook[]): Violation[] {
  const violations: Violation[] = [];
  const ends = new Map<string, number>();
  for (const { conversation, position } of truth.at.values())
    ends.set(conversation, Math.max(position!, ends.get(conversation) ?? 0));
  const cursors = new Map<string, number>();
  for (const event of events) {
    if (event.t !== 'cursor') continue;
    const { user, device, conversation, position } = event;
    cursors.set(`${user} ${device} ${conversation}`, position);
    if (position > (ends.get(conversation) ?? 0))
      violations.push({
        kind: 'trimmed',
        detail: `the cursor of ${user}/${device} in ${conversation} is at ${position}, beyond all there is`,
      });
  }
  for (const { user, device, furthest } of books) {
    for (const [conversation, position] of furthest) {
      const cursor = cursors.get(`${user} ${device} ${conversation}`);
      if (cursor === undefined || cursor < position)
        violations.push({
          kind: 'not settled',
          detail: `${user}/${device} has acked ${position} of ${conversation}, its durable cursor is ${cursor}`,
        });
    }
  }
  return violations;
}

function checkMemory(events: readonly Recorded[]): Violation[] {
  const most = new Map<string, number>();
  for (const event of events)
    if (event.t === 'memory') most.set(event.process, Math.max(event.mb, most.get(event.process) ?? 0));
  return [...most]
    .filter(([, mb]) => mb > MEMORY_MAX_MB)
    .map(([process, mb]) => ({
      kind: 'memory',
      detail: `${process} took ${mb} MB, ${MEMORY_MAX_MB} are more than it needs`,
    }));
}
