import type { ShapeName } from './config.ts';
import type { FaultClass } from './faults.ts';

/** A fault class, alone or with others, and what must have happened in its runs: else they prove nothing. */
export type FaultCase = { faults: readonly FaultClass[]; evidence: readonly string[] };

/** How many seeds of each case are run in each shape. */
export const SEEDS: readonly [ShapeName, number][] = [
  ['tiny', 120],
  ['two', 60],
  ['full', 40],
  ['busy', 15],
  ['sparse', 15],
];

export const CRASHES: readonly FaultCase[] = [
  { faults: [], evidence: ['message'] },
  { faults: ['offline'], evidence: ['offline'] },
  { faults: ['hintloss'], evidence: ['hintloss'] },
  { faults: ['eventloss'], evidence: ['eventloss'] },
  { faults: ['zombie'], evidence: ['zombie'] },
  { faults: ['svccrash'], evidence: ['svccrash'] },
  { faults: ['svcpause'], evidence: ['svcpause'] },
  { faults: ['gwcrash'], evidence: ['gwcrash'] },
  { faults: ['gwpause'], evidence: ['gwpause'] },
  {
    faults: ['offline', 'hintloss', 'zombie', 'svccrash', 'svcpause', 'gwcrash', 'gwpause'],
    evidence: ['svccrash', 'gwpause'],
  },
];

export const LOSSES: readonly FaultCase[] = [
  { faults: ['flushall'], evidence: ['flushall', 'rebuilt'] },
  { faults: ['failover'], evidence: ['failover', 'rebuilt'] },
  { faults: ['shard'], evidence: ['shard', 'rebuilt'] },
  { faults: ['dynamo', 'indexlag', 'flushall'], evidence: ['flushall', 'rebuilt'] },
  { faults: ['age', 'offline'], evidence: ['offline', 'rebuilt'] },
  { faults: ['cap', 'offline', 'flushall'], evidence: ['gap overflow', 'rebuilt'] },
  { faults: ['flushall', 'offline', 'absent'], evidence: ['flushall', 'rebuilt'] },
  { faults: ['clocks'], evidence: ['clocks'] },
  { faults: ['clocks', 'failover', 'flushall', 'svccrash'], evidence: ['clocks', 'failover', 'rebuilt'] },
  {
    faults: [
      'offline',
      'hintloss',
      'zombie',
      'svccrash',
      'svcpause',
      'gwcrash',
      'gwpause',
      'cap',
      'dynamo',
      'indexlag',
      'flushall',
      'failover',
      'shard',
      'age',
    ],
    evidence: ['failover', 'rebuilt', 'gap overflow'],
  },
];

export const CLIENTS: readonly FaultCase[] = [
  { faults: ['expiry', 'offline'], evidence: ['expiry'] },
  { faults: ['expiry', 'flushall'], evidence: ['expiry', 'rebuilt'] },
  { faults: ['nack', 'offline', 'svccrash', 'eventloss'], evidence: ['dead letter nacked'] },
  { faults: ['nack', 'failover'], evidence: ['dead letter nacked', 'rebuilt'] },
  { faults: ['nack', 'cap', 'offline'], evidence: ['dead letter nacked', 'gap overflow'] },
  { faults: ['poison', 'offline', 'flushall'], evidence: ['dead letter poison', 'rebuilt'] },
  { faults: ['ttl', 'offline', 'flushall'], evidence: ['gap expired', 'rebuilt'] },
  { faults: ['deletion', 'zombie', 'flushall'], evidence: ['deleted', 'rebuilt'] },
  { faults: ['deletion', 'dynamo', 'svccrash', 'failover'], evidence: ['deleted', 'rebuilt'] },
  { faults: ['membership', 'zombie', 'svccrash'], evidence: ['members', 'svccrash'] },
  { faults: ['membership', 'flushall', 'offline'], evidence: ['members', 'rebuilt'] },
  { faults: ['http'], evidence: ['pull'] },
  { faults: ['http', 'flushall', 'offline'], evidence: ['pull', 'rebuilt'] },
  { faults: ['http', 'failover', 'svccrash', 'gwcrash'], evidence: ['pull', 'rebuilt', 'gwcrash'] },
  { faults: ['garbage', 'svccrash'], evidence: ['dead letter undecodable'] },
  {
    faults: [
      'nack',
      'ttl',
      'deletion',
      'membership',
      'http',
      'garbage',
      'offline',
      'svccrash',
      'hintloss',
      'failover',
      'cap',
    ],
    evidence: ['pull', 'deleted', 'members', 'dead letter nacked'],
  },
];
