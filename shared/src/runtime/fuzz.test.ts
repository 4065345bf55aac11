import fc from 'fast-check';
import { describe, test } from 'vitest';
import { parseClientFrame } from '../contract/client-frames.ts';
import {
  decodeDeadLetter,
  decodeIncoming,
  decodeOutgoing,
  decodeRedriveMark,
  decodeUserEvent,
} from '../contract/events.ts';
import { decodeOperatorAction } from '../contract/operator-actions.ts';
import { misspelt } from './misspelt.ts';

/**
 * Whatever comes over a wire is answered, not thrown at: a moment of it in each run of the tests, FUZZ_MINUTES of it where that is set, shared
 * by all targets. What fails is shown with its seed.
 */
const minutes = Number(process.env.FUZZ_MINUTES ?? 0);
const TARGETS = 7;
const limits =
  minutes > 0
    ? {
        numRuns: Number.MAX_SAFE_INTEGER,
        interruptAfterTimeLimit: (minutes * 60_000) / TARGETS,
        markInterruptAsFailure: false,
      }
    : { numRuns: 300 };
const timeoutMs = 30_000 + minutes * 60_000;

/** JSON that is nearly right: fields of ours with values of any kind, and text of it with a letter changed. */
const NAMES = [
  't',
  'id',
  'to',
  'conversation',
  'body',
  'seq',
  'gen',
  'user',
  'users',
  'device',
  'conn',
  'slot',
  'lease',
  'at',
  'position',
  'from',
  'add',
  'remove',
  'members',
  '__proto__',
  'constructor',
];
const TYPES = [
  'send',
  'ack',
  'nack',
  'read',
  'typing',
  'delete',
  'watch',
  'ping',
  'create',
  'members',
  'user_connected',
  'acked',
  'refill',
  'revoke',
  'notice',
  'deliver',
];
const VALUES = fc.oneof(
  fc.constantFrom<unknown>(...TYPES, 'dm:a:b', 'grp:x', -1, 0, 2 ** 53, 1e308, null, true, [], {}),
  fc.jsonValue(),
  fc.string({ unit: 'binary' }),
);
const nearly = fc.dictionary(fc.constantFrom(...NAMES), VALUES).map((value) => JSON.stringify(value));
const torn = fc.tuple(nearly, fc.nat(), fc.string({ unit: 'binary', maxLength: 3 })).map(([text, at, put]) => {
  const place = at % (text.length + 1);
  return text.slice(0, place) + put + text.slice(place + 1);
});
const deep = fc.integer({ min: 1, max: 20_000 }).map((depth) => '['.repeat(depth));
const text = fc.oneof(nearly, torn, fc.string({ unit: 'binary' }), deep);
const bytes = fc.oneof(
  text.map((one) => Buffer.from(one)),
  fc.uint8Array().map((one) => Buffer.from(one)),
  fc.constant(null),
);

describe.each<[string, (value: Buffer | null) => unknown]>([
  ['incoming_messages', decodeIncoming],
  ['user_events', decodeUserEvent],
  ['dead_letters', decodeDeadLetter],
  ['marks of redriven letters', decodeRedriveMark],
  ['operator_actions', decodeOperatorAction],
])('records of %s', (_, decode) => {
  test('are decoded or refused, never thrown at', { timeout: timeoutMs }, () => {
    fc.assert(
      fc.property(bytes, (value) => void decode(value)),
      limits,
    );
  });
});

test('frames of clients are taken or answered, and the answer is short', { timeout: timeoutMs }, () => {
  fc.assert(
    fc.property(text, (frame) => {
      const parsed = parseClientFrame(frame);
      return parsed.ok || (parsed.message.length > 0 && parsed.message.length < 1_000);
    }),
    limits,
  );
});

test('outgoing records are read or refused as the reader expects it', { timeout: timeoutMs }, () => {
  fc.assert(
    fc.property(text, (record) => {
      try {
        return Array.isArray(decodeOutgoing(record).ops);
      } catch (error) {
        return error instanceof SyntaxError || error instanceof TypeError;
      }
    }),
    limits,
  );
});

test('names of an environment are never thrown at', () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: 'binary' })), (names) => void misspelt(names, ['KAFKA_BROKERS'])));
});
