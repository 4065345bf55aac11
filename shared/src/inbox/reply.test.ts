import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RedisValue } from '../runtime/redis.ts';
import {
  parseAck,
  parseAckIds,
  parseConnect,
  parseDisconnect,
  parseDueCheck,
  parseEnqueued,
  parseForgotten,
  parseMessageFacts,
  parseNack,
  parseRefill,
  parseReplay,
  parseSync,
} from './inbox-redis.ts';
import { BadReplyError } from './reply.ts';

const PAGE = ['3', '5', 'overflow', 'dm:a:b\ngrp:c', '6', '{"t":"message"}'];
const RELEASED = ['conn', '2', '99', 'l', '8', '9', ...PAGE];

/** Each parser, with a reply as its script gives it. */
const PARSERS: [name: string, parse: (value: RedisValue) => unknown, good: string[]][] = [
  ['enqueue', parseEnqueued, ['99', '4', '6', '0', '101', '2', 'conn', '3', 'lease', '5', '6']],
  ['connect', parseConnect, ['ok', '99', '4', '6', 'other', '3', '7']],
  ['replay', parseReplay, ['page', '4', ...RELEASED]],
  ['ack', parseAck, ['ok', '4', '9', ...RELEASED]],
  ['nack', parseNack, ['entry', '{"t":"message"}']],
  ['refill', parseRefill, ['close', '3']],
  ['disconnect', parseDisconnect, ['99', '7']],
  ['sync', parseSync, ['page', '99', '4', '9', '8', '8', ...PAGE]],
  ['ack-ids', parseAckIds, ['ok', '99', '4']],
  ['message-facts', parseMessageFacts, ['1', '2', '1700000000000', '0']],
  ['forget-device', parseForgotten, ['conn', '3', 'conn2', '4']],
  [
    'due-check',
    parseDueCheck,
    ['whole', '99', '9', '8', '4', '2', '1', '4', '170', '9', '0', '1', 'conn', '3', 'lease', 'phone', '8'],
  ],
];

/** Nothing that would be taken for a place in an inbox and is none. */
function holdsNaN(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsNaN);
}
const scalar = fc.oneof(
  fc.constantFrom<RedisValue>(
    null,
    '',
    'ok',
    'page',
    'whole',
    'partial',
    'gone',
    'NaN',
    '1e400',
    '-1',
    '0x10',
    'nil',
    '__proto__',
  ),
  fc.string(),
  fc.double(),
  fc.integer().map(String),
  fc.constant('9'.repeat(50_000)),
);
const hostile: fc.Arbitrary<RedisValue> = fc.oneof(
  scalar,
  fc.array(scalar, { maxLength: 30 }),
  fc.array(fc.array(scalar, { maxLength: 3 }), { maxLength: 3 }),
);

describe.each(PARSERS)('a reply of %s', (_, parse, good) => {
  const refuses = (value: RedisValue) => {
    try {
      return !holdsNaN(parse(value));
    } catch (error) {
      return error instanceof BadReplyError;
    }
  };

  it('is read', () => {
    expect(parse(good)).toBeDefined();
  });

  it('of whatever kind is read or refused as such, and no number in it is none', () => {
    fc.assert(fc.property(hostile, refuses), { numRuns: 300 });
  });

  it('with one element changed likewise', () => {
    const changed = fc.tuple(fc.nat({ max: good.length - 1 }), scalar).map(([at, put]) => good.with(at, put as string));
    fc.assert(fc.property(changed, refuses), { numRuns: 300 });
  });

  it('that ends too early is refused, or is a shorter one', () => {
    for (let length = 0; length < good.length; length++) expect(refuses(good.slice(0, length)), `${length}`).toBe(true);
    expect(() => parse([])).not.toThrow(TypeError);
  });

  it('that is no list, or has null in it, is refused', () => {
    for (const value of [null, 'ok', 1, [null], [[good[0]!]]] as RedisValue[])
      expect(() => parse(value)).toThrow(BadReplyError);
  });
});

it('numbers are integers that are exact', () => {
  expect(() => parseAckIds(['ok', '1e400', '1'])).toThrow(BadReplyError);
  expect(() => parseAckIds(['ok', '9007199254740993', '1'])).toThrow(BadReplyError);
  expect(() => parseAckIds(['ok', '1.5', '1'])).toThrow(BadReplyError);
});
