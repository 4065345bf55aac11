import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { costOf } from './cost.ts';
import { parseSize, type Size } from './options.ts';
import { plan } from './plan.ts';
import { QUOTAS } from './quotas.ts';
import { render } from './render.ts';

const sized = (args: string): Size => parseSize(args.split(' '));

describe('a size is said by options', () => {
  test('only the number of users has no default', () => {
    expect(() => parseSize([])).toThrow('--users is missing');
    expect(sized('--users 10').online).toBe(0.1);
  });

  test.each(['--users x', '--users -1', '--users 10 --online 2', '--users 10 --nonsense 1', '--users 0', '--users='])(
    '%s is refused by name',
    (args) => {
      expect(() => sized(args)).toThrow(TypeError);
    },
  );
});

describe('load', () => {
  test('is what the arithmetic on paper says', () => {
    const { load } = plan(sized('--users 864000 --online 0.5 --messages-per-user 100 --recipients 2 --peak-factor 3'));
    expect(load).toMatchObject({
      connections: 432_000,
      messagesPerDay: 86_400_000,
      averageMessages: 1000,
      messages: 3000,
      entries: 6000,
    });
  });
});

describe('what it takes', () => {
  const sizes = fc.record({
    users: fc.integer({ min: 1, max: 200_000_000 }),
    online: fc.double({ min: 0, max: 1, noNaN: true }),
    perUser: fc.integer({ min: 0, max: 500 }),
  });
  const planOf = ({ users, online, perUser }: { users: number; online: number; perUser: number }) =>
    plan(parseSize(['--users', String(users), '--online', String(online), '--messages-per-user', String(perUser)]));
  const amounts = (made: ReturnType<typeof plan>) => ({
    gateways: made.tasks.gateway.count,
    messaging: made.tasks.messaging.count,
    notification: made.tasks.notification.count,
    slots: made.kafka.slots,
    brokersByLoad: made.kafka.mibPerSecond,
    redisGib: made.redis.inboxGib + made.redis.dedupeGib,
    history: made.tables.historyGib,
    dollars: Object.values(costOf(made)).reduce((a, b) => a + b, 0),
  });

  test('never shrinks when there is more to do, but for larger nodes that do more each', () => {
    fc.assert(
      fc.property(sizes, fc.double({ min: 1, max: 10, noNaN: true }), (size, factor) => {
        const small = amounts(planOf(size));
        const large = amounts(planOf({ ...size, users: Math.ceil(size.users * factor) }));
        for (const [name, value] of Object.entries(small)) {
          if (name !== 'dollars') expect(large[name as keyof typeof large], name).toBeGreaterThanOrEqual(value);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('keeps the rules of the stacks: a slot for each gateway of two releases, a task a zone, partitions for every worker', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        const { tasks, kafka, redis } = planOf(size);
        expect(kafka.slots).toBeGreaterThanOrEqual(2 * tasks.gateway.count);
        expect(kafka.incoming).toBeGreaterThanOrEqual(tasks.messaging.count);
        expect(kafka.userEvents).toBeGreaterThanOrEqual(tasks.notification.count);
        expect(
          Math.min(tasks.gateway.count, tasks.messaging.count, tasks.notification.count, kafka.brokers),
        ).toBeGreaterThanOrEqual(3);
        expect(kafka.brokers % 3).toBe(0);
        expect(redis.shards).toBeGreaterThanOrEqual(1);
        for (const cost of Object.values(costOf(planOf(size)))) expect(cost).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 200 },
    );
  });

  test('a shorter memory of ids is what saves most memory', () => {
    const week = plan(sized('--users 10000000'));
    const day = plan(sized('--users 10000000 --dedupe-days 1'));
    expect(day.redis.dedupeGib).toBeCloseTo(week.redis.dedupeGib / 7, 6);
    expect(day.redis.inboxGib).toBe(week.redis.inboxGib);
  });
});

describe('quotas', () => {
  test('what is beyond one is said to be', () => {
    const text = render(plan(sized('--users 100000000')));
    expect(text).toMatch(/\d{3} % of +1,000 {2}ALB: targets of one load balancer: ask for more first/);
  });

  test('a small size approaches none', () => {
    expect(render(plan(sized('--users 1000')))).toMatch(/AWS quotas approached .*\n {2}none/);
  });

  test('each is a number of the plan', () => {
    for (const { used, name } of QUOTAS) expect(Number.isFinite(used(plan(sized('--users 1000')))), name).toBe(true);
  });
});

test('what nobody has measured is said with every result', () => {
  expect(render(plan(sized('--users 1000')))).toMatch(
    /Assumed, not measured \(capacity\/src\/constants\.ts\): \d+ of \d+ constants\.|Every constant is measured\./,
  );
});
