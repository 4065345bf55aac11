import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parser } from '@prometheus-io/lezer-promql';
import { TOPICS } from '@restante/shared/contract/events';
import { BatchingProducer } from '@restante/shared/kafka/batching-producer';
import { createKafka } from '@restante/shared/kafka/client';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { RefusedError, TestClient } from './support/client.ts';
import { type CallOptions, call } from './support/http.ts';
import { metricOf, metricsText } from './support/metrics.ts';
import { type Stack, startStack } from './support/stack.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
/** What Prometheus makes itself. */
const OF_PROMETHEUS = new Set(['up']);
/** Short enough for V8 to quote it whole where it is no JSON. */
const SECRET_BODY = 'unloggable-8c1f';
const WITHIN = { timeout: 60_000, interval: 50 };

let stack: Stack;
/** All that was answered, but for the messages themselves. */
const answers: string[] = [];
/** Every series name that any service exposes. */
const exposed = new Set<string>();

type Rule = {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: { summary: string };
};
const { groups } = parseYaml(read('ops/prometheus/alerts.yml')) as { groups: { name: string; rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
type Panel = { title: string; targets?: { expr: string }[] };
const { panels } = JSON.parse(read('ops/grafana/restante.json')) as { panels: Panel[] };
const expressions = [
  ...rules.map(({ alert, expr }): [string, string] => [alert, expr]),
  ...panels.flatMap(({ title, targets }) => (targets ?? []).map(({ expr }): [string, string] => [title, expr])),
];

beforeAll(async () => {
  stack = await startStack({ gateways: 1, env: { LOG_LEVEL: 'trace', REDELIVER_AFTER_MS: '300' } });
  await converse();
  await produceGarbage();
  await operate();
  for (const { adminUrl } of [...stack.run.gateways, ...stack.run.services]) {
    for (const line of (await metricsText(adminUrl)).split('\n')) {
      const [, name, type] = /^# TYPE (\S+) (\S+)/.exec(line) ?? [];
      if (name === undefined) continue;
      const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      for (const suffix of suffixes) exposed.add(name + suffix);
    }
  }
});
afterAll(() => stack?.stop());

/** A conversation with a bit of everything that might be logged: by socket and HTTP, refused, undelivered, badly framed. */
async function converse(): Promise<void> {
  const url = stack.gatewayUrls[0]!;
  const [alice, bob] = [await stack.token('alice'), await stack.token('bob')];
  const open = (user: string, token: string) =>
    TestClient.drained({
      ...{ url, user, device: 'phone', token },
      onFrame: (frame) => frame.t !== 'message' && answers.push(JSON.stringify(frame)),
    });
  const a = await open('alice', alice);
  const b = await open('bob', bob);
  for (let i = 0; i < 20; i++) a.send({ t: 'send', id: `message-${i}`, to: 'bob', body: `${SECRET_BODY} ${i}` });
  await b.until('all messages', () => b.messages.length === 20);
  a.send({ t: 'send', id: 'message-0', to: 'bob', body: `${SECRET_BODY} other content` });
  await a.until('the conflict', () => a.first('rejected'));
  b.send({ t: 'nack', seq: 9_999, gen: b.welcome.gen, reason: SECRET_BODY });
  b.send({ t: 'send', id: 'bad frame', to: 'alice', body: SECRET_BODY });
  b.socket.send(`{"t":"send","body":"${SECRET_BODY}"`);
  b.socket.send(SECRET_BODY);
  await b.until('the refusals', () => b.all('error').length >= 4);
  await b.close();
  const refused = await open('bob', `${bob}x`).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RefusedError);
  answers.push((refused as RefusedError).body);
  await ask(url, '/v1/messages', { token: alice, body: { id: 'by-http-1', to: 'bob', body: SECRET_BODY } });
  await ask(url, '/v1/messages', { token: alice, body: { id: 'by-http-1', to: 'bob', body: `${SECRET_BODY} other` } });
  await ask(url, '/v1/messages', { token: alice, body: `not json ${SECRET_BODY}` });
  await ask(url, '/v1/messages', { token: alice, body: SECRET_BODY });
  await ask(url, '/v1/messages', { token: `${alice}x`, body: { id: 'by-http-2', to: 'bob', body: SECRET_BODY } });
  const push = { platform: 'fcm', token: `push-token-${SECRET_BODY}` };
  await ask(url, '/v1/devices/phone', { method: 'PUT', token: bob, body: { push } });
  await vi.waitFor(() => expect(pushes()).toContain('"user":"bob"'), WITHIN);
  const again = await open('bob', bob);
  expect(again.messages.map(({ body }) => body)).toEqual([SECRET_BODY]);
  await again.close();
  await a.close();
}

async function ask(url: string, path: string, options: CallOptions): Promise<string> {
  const { text } = await call(url, path, options);
  answers.push(text);
  return text;
}

const pushes = (): string => {
  const file = join(stack.dir, 'pushes.jsonl');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};

/** What no service can read, in each topic that one reads. */
async function produceGarbage(): Promise<void> {
  const logger = pino({ level: 'silent' });
  const brokers = [stack.run.engines.find(({ name }) => name === 'kafka')!.url];
  const topics = [TOPICS.incoming, TOPICS.userEvents, TOPICS.outgoing];
  const producer = new BatchingProducer({
    kafka: createKafka({ brokers, clientId: 'garbage', logger }),
    logger,
    topics,
  });
  await producer.start();
  const { adminUrl } = stack.run.gateways[0]!;
  const slot = await metricOf(adminUrl, 'restante_gateway_slot');
  for (const topic of topics)
    await producer.send(topic, topic === TOPICS.outgoing ? slot : 0, 'dm:a:b', Buffer.from(SECRET_BODY));
  await producer.stop(0);
  const dropped = () => metricOf(adminUrl, 'restante_gateway_hints_dropped_total');
  await vi.waitFor(async () => expect(await dropped()).toBeGreaterThan(0), WITHIN);
}

/** What an operator is shown and has done, and what is answered to who is none. */
async function operate(): Promise<void> {
  const admin = stack.run.services.find(({ name }) => name.startsWith('notification'))!.adminUrl;
  const token = stack.run.adminToken;
  const operator = (path: string, options: CallOptions = {}) =>
    ask(admin, `/operator/api/${path}`, { token, ...options });
  const letters = async () => (JSON.parse(await operator('dead-letters')) as { letters: unknown[] }).letters;
  await vi.waitFor(async () => expect(await letters()).toHaveLength(2), WITHIN);
  const json = { 'content-type': 'application/json', 'x-operator': 'test' };
  await operator('users/bob/disconnect', { body: {}, headers: json });
  await operator('notice', { body: SECRET_BODY, headers: json });
  await operator('users/bob/inbox');
  await operator('audit');
  await operator('system', { token: `${token}x` });
}

/** The names in an expression. @throws where it is not PromQL */
function metricsIn(expr: string): string[] {
  // Grafana puts an interval in its place.
  const text = expr.replaceAll('$__rate_interval', '1m');
  const names: string[] = [];
  parser.parse(text).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${text}`);
      const parent = node.node.parent?.name;
      if (node.name === 'Identifier' && parent === 'VectorSelector') names.push(text.slice(node.from, node.to));
    },
  });
  return names;
}

test('an expression that is no PromQL, or names no metric, is seen', () => {
  expect(() => metricsIn('sum(rate(x[5m])')).toThrow('not PromQL');
  expect(() => metricsIn('x >')).toThrow('not PromQL');
  expect(metricsIn('sum by (a) (rate(some_total{b="c"}[5m])) / other')).toEqual(['some_total', 'other']);
});

test('every rule and every panel asks for metrics that the services expose', () => {
  expect(expressions.length).toBeGreaterThan(60);
  for (const [title, expr] of expressions) {
    const names = metricsIn(expr);
    expect(names.length, title).toBeGreaterThan(0);
    for (const name of names) if (!OF_PROMETHEUS.has(name)) expect(exposed, `${title}: ${expr}`).toContain(name);
  }
});

test('names and units are as Prometheus wants them', async () => {
  for (const { adminUrl } of [...stack.run.gateways, ...stack.run.services]) {
    for (const line of (await metricsText(adminUrl)).split('\n')) {
      const [, name = '', type] = /^# TYPE (restante_\S+) (\S+)/.exec(line) ?? [];
      if (name === '') continue;
      expect(name).toMatch(/^restante_(gateway|messaging|notification)_[a-z_]+$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_(seconds|bytes|records)$/);
      expect(name).not.toMatch(/_(ms|millis|milliseconds|kb|mb|percent)(_|$)/);
    }
  }
});

test('each rule is whole, and the runbook says what to do about it', () => {
  const runbook = read('docs/runbook.md');
  for (const { alert, expr, labels, annotations, ...rest } of rules) {
    expect(alert).toMatch(/^[A-Z][A-Za-z]+$/);
    expect(expr, alert).toMatch(/[<>=]/);
    expect(['page', 'ticket'], alert).toContain(labels.severity);
    expect(annotations.summary.length, alert).toBeGreaterThan(10);
    expect(rest.for ?? '1m', alert).toMatch(/^\d+[smh]$/);
    const section = runbook.split(/^## /m).find((part) => part.startsWith(`${alert}\n`)) ?? '';
    for (const heading of ['**Means**', '**Look at**', '**Do**'])
      expect(section, `${alert}: ${heading}`).toContain(heading);
  }
  const sections = [...runbook.matchAll(/^## ([A-Z][A-Za-z]+)$/gm)].map(([, name]) => name);
  expect(sections.sort()).toEqual(rules.map(({ alert }) => alert).sort());
  expect(new Set(sections).size).toBe(sections.length);
});

/** What must be nowhere: what users write, tokens (the head of every one that is signed as these are), secrets. */
async function expectNoSecret(text: string, where: string): Promise<void> {
  const [head = ''] = (await stack.token('alice')).split('.');
  for (const secret of [SECRET_BODY, head, stack.run.jwtSecret, stack.run.adminToken]) {
    expect(secret.length).toBeGreaterThan(10);
    const lines = text.split('\n').filter((line) => line.includes(secret));
    expect(lines.slice(0, 3), where).toEqual([]);
  }
}

test('logs at their most talkative hold ids, but no body, token or secret', async () => {
  let all = '';
  for (const { name } of [...stack.run.gateways, ...stack.run.services]) {
    const log = readFileSync(join(stack.dir, 'logs', `${name}.log`), 'utf8');
    await expectNoSecret(log, name);
    all += log;
  }
  expect(all.split('\n').length).toBeGreaterThan(20);
  expect(all).toContain('"user":"bob"');
  expect(all).toContain('"topic":"incoming_messages","partition":0,"offset":');
});

test('no body, token or secret is in a refusal, in what an operator is shown, in a metric or in a push', async () => {
  for (const told of ['"t":"error"', '"t":"rejected"', '"code":"unauthorized"', '"reason":"not JSON'])
    expect(
      answers.some((text) => text.includes(told)),
      told,
    ).toBe(true);
  for (const answer of answers) await expectNoSecret(answer, 'an answer');
  for (const { name, adminUrl } of [...stack.run.gateways, ...stack.run.services])
    await expectNoSecret(await metricsText(adminUrl), `metrics of ${name}`);
  await expectNoSecret(pushes(), 'pushes.jsonl');
});
