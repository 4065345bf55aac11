import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parser } from '@prometheus-io/lezer-promql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { TestClient } from './support/client.ts';
import { call } from './support/http.ts';
import { metricsText } from './support/metrics.ts';
import { type Stack, startStack } from './support/stack.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
/** What Prometheus makes itself. */
const OF_PROMETHEUS = new Set(['up']);
const SECRET_BODY = 'body-that-no-log-may-hold-8c1f';

let stack: Stack;
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
  stack = await startStack({ gateways: 1, env: { LOG_LEVEL: 'trace' } });
  await converse();
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
  const open = (user: string, token: string) => TestClient.drained({ url, user, device: 'phone', token });
  const a = await open('alice', alice);
  const b = await open('bob', bob);
  for (let i = 0; i < 20; i++) a.send({ t: 'send', id: `message-${i}`, to: 'bob', body: `${SECRET_BODY} ${i}` });
  await b.until('all messages', () => b.messages.length === 20);
  a.send({ t: 'send', id: 'message-0', to: 'bob', body: `${SECRET_BODY} other content` });
  await a.until('the conflict', () => a.first('rejected'));
  b.send({ t: 'nack', seq: 9_999, gen: b.welcome.gen, reason: SECRET_BODY });
  b.send({ t: 'send', id: 'bad frame', to: 'alice', body: SECRET_BODY });
  b.socket.send(`{"t":"send","body":"${SECRET_BODY}"`);
  await b.until('the refusals', () => b.all('error').length >= 3);
  await b.close();
  await call(url, '/v1/messages', { token: alice, body: { id: 'by-http-1', to: 'bob', body: SECRET_BODY } });
  await call(url, '/v1/messages', { token: alice, body: `not json ${SECRET_BODY}` });
  await call(url, '/v1/messages', { token: `${alice}x`, body: { id: 'by-http-2', to: 'bob', body: SECRET_BODY } });
  await call(url, '/v1/devices/phone', {
    method: 'PUT',
    token: bob,
    body: { push: { platform: 'fcm', token: `push-token-${SECRET_BODY}` } },
  });
  const again = await open('bob', bob);
  expect(again.messages.map(({ body }) => body)).toEqual([SECRET_BODY]);
  await again.close();
  await a.close();
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

test('logs at their most talkative hold ids, but no body and no token', async () => {
  const tokens = [await stack.token('alice'), await stack.token('bob')].map((token) => token.split('.')[0]!);
  const names = [...stack.run.gateways, ...stack.run.services].map(({ name }) => name);
  let lines = 0;
  for (const name of names) {
    const log = readFileSync(join(stack.dir, 'logs', `${name}.log`), 'utf8');
    lines += log.split('\n').length;
    expect(log, name).not.toContain(SECRET_BODY);
    expect(log, name).not.toContain(stack.run.jwtSecret);
    // The head of every token that is signed as these are.
    for (const token of tokens) expect(log, name).not.toContain(token);
  }
  expect(lines).toBeGreaterThan(20);
});
