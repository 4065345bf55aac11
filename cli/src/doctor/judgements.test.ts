import { TOPIC_SETTINGS, topicSpecs } from '@restante/shared/kafka/topics';
import { readSettings } from '@restante/shared/runtime/settings';
import { expect, test } from 'vitest';
import { judgeEnvironment, withoutMisspelt } from '../commands/doctor.ts';
import { judgeTables } from './check-engines.ts';
import { descriptorLimit, judgeDescriptors, judgeDisk, judgeMemory } from './check-machine.ts';
import { judgeClock, judgeCompression, judgeEviction, judgeMaxMemory } from './check-redis.ts';
import { judgePort, judgeProcesses, usualPorts } from './check-run.ts';
import { judgeJava, judgeMaven, judgeNode } from './check-tools.ts';
import { judgeTopics } from './check-topics.ts';
import { listeningInodes } from './find-listener.ts';

const states = (checks: { state: string }[]) => checks.map((check) => check.state);

test('judges versions of tools', () => {
  expect(states(['20.19.0', '22.1.0', '20.18.9', '18.20.0'].map(judgeNode))).toEqual(['ok', 'ok', 'fail', 'fail']);
  expect(
    states(
      ['openjdk version "17.0.9" 2023', 'java version "21" 2023', 'java version "1.8.0_392"', undefined].map(judgeJava),
    ),
  ).toEqual(['ok', 'ok', 'fail', 'fail']);
  expect(judgeMaven('Apache Maven 3.8.7\nHome: /usr')).toMatchObject({ state: 'ok', found: '3.8.7' });
  expect(judgeMaven(undefined).remedy).toContain('apt-get install');
});

test('judges the machine', () => {
  expect(states([judgeMemory(2 ** 31), judgeMemory(2 ** 29)])).toEqual(['ok', 'warn']);
  expect(
    states([judgeDisk(2 ** 34, '/d'), judgeDisk(2 ** 29, '/d'), judgeDisk(1, '/d'), judgeDisk(undefined, '/d')]),
  ).toEqual(['ok', 'warn', 'fail', 'warn']);
  expect(states([judgeDescriptors(1024), judgeDescriptors(65_536), judgeDescriptors(undefined)])).toEqual([
    'warn',
    'ok',
    'ok',
  ]);
  expect(
    descriptorLimit(
      'Limit  Soft  Hard  Units\nMax open files            1024                 524288               files\n',
    ),
  ).toBe(524_288);
  expect(descriptorLimit('Max open files            1024                 unlimited            files')).toBe(
    Number.POSITIVE_INFINITY,
  );
});

test('judges the engines', () => {
  expect(states([judgeEviction('noeviction'), judgeEviction('allkeys-lru'), judgeEviction(undefined)])).toEqual([
    'ok',
    'fail',
    'ok',
  ]);
  expect(states([judgeCompression('1'), judgeCompression('0')])).toEqual(['ok', 'warn']);
  expect(states([judgeClock(3), judgeClock(3_600_000)])).toEqual(['ok', 'warn']);
  expect(states([judgeMaxMemory('0'), judgeMaxMemory('1048576'), judgeMaxMemory(undefined)])).toEqual([
    'warn',
    'ok',
    'ok',
  ]);
  expect(judgeTables(['dev-messages', 'messages']).found).toContain('tombstones');
  const names = ['messages', 'tombstones', 'conversations', 'memberships', 'cursors', 'receipts', 'devices', 'logs'];
  expect(judgeTables(names.map((name) => `dev-${name}`)).state).toBe('ok');
});

test('a port is right in the hands of ours, in the way in those of others, and missed in none', () => {
  const ours = new Set([7]);
  expect(judgePort('gateway-1', 8080, { pid: 7 }, ours).state).toBe('ok');
  expect(judgePort('gateway-1', 8080, { pid: 8, command: 'python3 -m http.server' }, ours).found).toBe(
    'taken by pid 8 (python3 -m http.server)',
  );
  expect(judgePort('gateway-1', 8080, undefined, ours).state).toBe('fail');
  expect(judgePort('gateway-1', 8080, undefined, new Set()).state).toBe('ok');
  expect(judgePort('gateway-1', 8080, {}, new Set()).state).toBe('fail');
});

test('tells one dead process from a run that is over', () => {
  const process = (name: string, alive: boolean) => ({
    name,
    alive,
    kind: 'service' as const,
    pid: 1,
    rssBytes: undefined,
  });
  expect(judgeProcesses([process('a', true), process('b', true)]).state).toBe('ok');
  expect(judgeProcesses([process('a', true), process('b', false)]).found).toBe('dead: b (pid 1)');
  expect(judgeProcesses([process('a', false)]).found).toContain('a run that ended');
});

test('looks at the ports that npm start would take', () => {
  expect(usualPorts({}).map(({ port }) => port)).toEqual([8080, 9080, 8081, 9081]);
  expect(usualPorts({ PORT: '0', ADMIN_PORT: '7000', GATEWAYS: '1' }).map(({ port }) => port)).toEqual([7000]);
});

test('reads the table of sockets: only those that listen, on that port', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0000000000000000 100 0 0 10 0`;
  expect(listeningInodes(table, 8080)).toEqual(['111']);
});

test('judges topics against the settings: partitions, what keeps messages safe, and for how long', () => {
  const settings = readSettings(TOPIC_SETTINGS, { REPLICATION_FACTOR: '3' });
  const specs = topicSpecs(settings);
  const asMade = () =>
    new Map(
      specs.map(({ topic, partitions, config }) => [topic, { partitions, config: new Map(Object.entries(config)) }]),
    );
  const problems = (change: (found: ReturnType<typeof asMade>) => void) => {
    const found = asMade();
    change(found);
    return judgeTopics(specs, found).filter(({ state }) => state !== 'ok');
  };
  expect(problems(() => undefined)).toEqual([]);
  expect(problems((found) => found.delete('user_events'))).toMatchObject([{ found: 'missing: user_events' }]);
  expect(problems((found) => Object.assign(found.get('outgoing_messages')!, { partitions: 4 }))).toMatchObject([
    {
      name: 'Partitions of outgoing_messages',
      found: '4, the settings say 16',
      remedy: expect.stringContaining('GATEWAY_SLOTS'),
    },
  ]);
  expect(problems((found) => Object.assign(found.get('incoming_messages')!, { partitions: 9 }))).toMatchObject([
    { remedy: expect.stringContaining('INCOMING_EPOCH') },
  ]);
  const set = (name: string, value: string) =>
    problems((found) => void found.get('incoming_messages')!.config.set(name, value));
  expect(set('min.insync.replicas', '1')).toMatchObject([{ state: 'fail', found: '1' }]);
  expect(set('min.insync.replicas', '3')).toEqual([]);
  expect(set('cleanup.policy', 'compact')).toMatchObject([{ state: 'fail' }]);
  expect(set('unclean.leader.election.enable', 'true')).toMatchObject([{ state: 'fail' }]);
  expect(set('message.timestamp.type', 'CreateTime')).toMatchObject([{ state: 'fail' }]);
  expect(set('retention.ms', '1000')).toMatchObject([{ state: 'warn', found: '1000' }]);
  expect(set('retention.ms', '-1')).toEqual([]);
  expect(problems((found) => void found.get('operator_actions')!.config.set('retention.ms', '1000'))).toMatchObject([
    { state: 'warn' },
  ]);
});

test('names a misspelt setting before a service does', () => {
  expect(judgeEnvironment({ KAFKA_BROKER: 'x', PATH: '/bin' })).toMatchObject({
    state: 'fail',
    found: 'KAFKA_BROKER is no setting, KAFKA_BROKERS is',
  });
  expect(judgeEnvironment({ PATH: '/bin' }).state).toBe('ok');
});

test('what was misspelt is not held against the engines too', () => {
  const env = { REDIS_URL: 'redis://127.0.0.1:1', PATH: '/bin' };
  expect(withoutMisspelt({ ...env, KAFKA_BROKER: 'x' })).toEqual(env);
});
