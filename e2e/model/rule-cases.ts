import type { BrokenKind } from './checker.ts';
import type { ShapeName } from './config.ts';
import type { FaultClass } from './faults.ts';
import type { RuleName } from './rules.ts';

/**
 * Where the absence of a rule shows: under these faults, in this shape, a seed from `from` on breaks one of `kinds`, which
 * the same run does not with the rule. `without`: another rule that heals the same, later or by a second way; it is off in
 * both runs.
 */
export type RuleCase = {
  rule: RuleName;
  faults: readonly FaultClass[];
  shape: ShapeName;
  from: number;
  kinds: readonly BrokenKind[];
  without?: RuleName;
};

/** A few rules are about rare coincidences: `from` is the first seed that shows it, so that the search is short. */
export const RULE_CASES: readonly RuleCase[] = [
  { rule: 'commitAfterAll', faults: ['svccrash'], shape: 'full', from: 5, kinds: ['lost'] },
  { rule: 'membershipAtPosition', faults: ['membership', 'zombie'], shape: 'full', from: 2, kinds: ['wrong', 'lost'] },
  { rule: 'cachesDropped', faults: ['membership', 'zombie'], shape: 'full', from: 6, kinds: ['wrong', 'lost'] },
  { rule: 'rebuildIntervals', faults: ['membership', 'flushall'], shape: 'full', from: 3, kinds: ['wrong'] },
  { rule: 'dedupeReread', faults: ['flushall', 'offline'], shape: 'full', from: 6, kinds: ['twice'] },
  { rule: 'claimMark', faults: ['flushall', 'offline'], shape: 'full', from: 23, kinds: ['twice'] },
  { rule: 'firstHolds', faults: ['flushall', 'offline', 'absent'], shape: 'busy', from: 20690, kinds: ['lost'] },
  { rule: 'enqueueOnce', faults: ['zombie'], shape: 'two', from: 1, kinds: ['double'] },
  { rule: 'ageInList', faults: ['age', 'flushall'], shape: 'full', from: 783, kinds: ['old'] },
  { rule: 'ageMark', faults: ['age', 'offline'], shape: 'full', from: 1, kinds: ['gap'] },
  { rule: 'ttlGap', faults: ['ttl', 'offline'], shape: 'two', from: 1, kinds: ['lost'] },
  { rule: 'overflowBeforeFirst', faults: ['cap', 'svccrash', 'http'], shape: 'full', from: 348, kinds: ['lost'] },
  { rule: 'gapCursors', faults: ['cap', 'flushall', 'offline'], shape: 'sparse', from: 25, kinds: ['old'] },
  { rule: 'storeIdentity', faults: ['failover'], shape: 'two', from: 1, kinds: ['trim', 'lost'] },
  { rule: 'freshStore', faults: ['failover'], shape: 'busy', from: 13, kinds: ['order'] },
  { rule: 'cut', faults: ['flushall', 'dynamo'], shape: 'two', from: 1, kinds: ['lost'] },
  { rule: 'mergeByPartition', faults: ['clocks', 'flushall'], shape: 'full', from: 2, kinds: ['order', 'lost'] },
  { rule: 'dirtyMarks', faults: ['svccrash', 'flushall', 'offline'], shape: 'sparse', from: 167, kinds: ['old'] },
  {
    rule: 'cursorsForward',
    faults: ['svcpause', 'dynamo', 'flushall', 'offline'],
    shape: 'sparse',
    from: 140,
    kinds: ['old'],
  },
  { rule: 'strongIndex', faults: ['flushall', 'indexlag'], shape: 'two', from: 3, kinds: ['lost', 'order'] },
  { rule: 'deviceDurable', faults: ['flushall', 'offline'], shape: 'full', from: 1, kinds: ['trim', 'lost'] },
  { rule: 'deviceStart', faults: ['flushall', 'offline'], shape: 'full', from: 11, kinds: ['past'] },
  { rule: 'birthAtLogEnds', faults: ['clocks', 'flushall'], shape: 'full', from: 2, kinds: ['trim', 'lost'] },
  { rule: 'startNoted', faults: ['flushall'], shape: 'full', from: 110, kinds: ['order'] },
  { rule: 'oldestFirst', faults: ['flushall', 'clocks'], shape: 'full', from: 42, kinds: ['order'] },
  { rule: 'seenRefreshed', faults: ['expiry', 'flushall'], shape: 'full', from: 3, kinds: ['trim', 'lost'] },
  { rule: 'deviceExpiry', faults: ['expiry'], shape: 'full', from: 3, kinds: ['held'] },
  { rule: 'ownCopiesInPartial', faults: ['flushall', 'dynamo'], shape: 'full', from: 3, kinds: ['lost'] },
  { rule: 'ownCopiesSince', faults: ['flushall'], shape: 'full', from: 1, kinds: ['past'] },
  { rule: 'redisTime', faults: ['clocks'], shape: 'full', from: 10, kinds: ['stuck'] },
  { rule: 'probe', faults: ['hintloss'], shape: 'two', from: 1, kinds: ['stuck'] },
  { rule: 'ackAgain', faults: ['eventloss'], shape: 'two', from: 8, kinds: ['stuck'] },
  { rule: 'refillCloses', faults: ['http', 'offline'], shape: 'full', from: 14, kinds: ['stuck'] },
  { rule: 'connectedAgain', faults: ['eventloss'], shape: 'two', from: 4, kinds: ['stuck'] },
  { rule: 'drainedAwaited', faults: ['gwpause'], shape: 'full', from: 684, kinds: ['stuck'] },
  { rule: 'sessionsReasserted', faults: ['shard'], shape: 'full', from: 44, kinds: ['stuck'] },
  { rule: 'reassertReconnects', faults: ['gwpause', 'offline'], shape: 'busy', from: 108, kinds: ['exiled'] },
  { rule: 'replacedByLiving', faults: ['gwpause'], shape: 'busy', from: 19, kinds: ['exiled'] },
  {
    rule: 'disconnectCompares',
    faults: ['offline'],
    shape: 'full',
    from: 1,
    kinds: ['unsettled', 'lost'],
    without: 'sessionsReasserted',
  },
  { rule: 'leaseFence', faults: ['gwpause'], shape: 'two', from: 3, kinds: ['stuck'] },
  { rule: 'fitWindow', faults: ['svcpause'], shape: 'full', from: 4, kinds: ['stuck'], without: 'probe' },
  {
    rule: 'ackPosition',
    faults: ['failover'],
    shape: 'busy',
    from: 13,
    kinds: ['trim', 'lost'],
    without: 'freshStore',
  },
  { rule: 'dueCompares', faults: ['absent', 'hintloss', 'offline'], shape: 'tiny', from: 259, kinds: ['unwoken'] },
  { rule: 'dueSeeded', faults: ['flushall', 'offline', 'absent'], shape: 'full', from: 4, kinds: ['unwoken'] },
  { rule: 'nackGap', faults: ['nack', 'offline'], shape: 'full', from: 1, kinds: ['confirmed'] },
  { rule: 'deadLetterFirst', faults: ['nack', 'svccrash'], shape: 'two', from: 1, kinds: ['trim'] },
  { rule: 'nackSaysWhat', faults: ['nack', 'cap'], shape: 'two', from: 6, kinds: ['lost'] },
  { rule: 'nackBeforeAck', faults: ['nack', 'eventloss'], shape: 'two', from: 2, kinds: ['trim', 'lost'] },
  { rule: 'poison', faults: ['poison'], shape: 'full', from: 1, kinds: ['lost'] },
  { rule: 'garbageToDeadLetters', faults: ['garbage'], shape: 'two', from: 1, kinds: ['lost'] },
  { rule: 'tombstoneRow', faults: ['deletion', 'dynamo', 'svccrash'], shape: 'full', from: 3, kinds: ['resurrected'] },
  { rule: 'syncTakesNothing', faults: ['http'], shape: 'two', from: 1, kinds: ['trim', 'lost'] },
  { rule: 'holesRemembered', faults: ['http'], shape: 'two', from: 3, kinds: ['trim', 'lost'] },
];
