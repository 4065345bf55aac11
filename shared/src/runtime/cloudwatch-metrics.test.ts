import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { cloudWatchName, MetricLines, startCloudWatchMetrics } from './cloudwatch-metrics.ts';

function setUp() {
  const registry = new Registry();
  const written: string[] = [];
  const options = {
    namespace: 'Restante/dev',
    service: 'gateway',
    registry,
    write: (line: string) => void written.push(line),
  };
  return { registry, written, options, lines: new MetricLines(options) };
}
const parse = (lines: string[]) => lines.map((line) => JSON.parse(line));

test('a gauge is what it is now, summed over its labels', async () => {
  const { registry, lines } = setUp();
  const gauge = new Gauge({
    name: 'restante_gateway_connections',
    help: 'h',
    labelNames: ['kind'],
    registers: [registry],
  });
  gauge.set({ kind: 'a' }, 3);
  gauge.set({ kind: 'b' }, 4);
  const [line] = parse(await lines.next(1000));
  expect(line).toEqual({
    _aws: {
      Timestamp: 1000,
      CloudWatchMetrics: [{ Namespace: 'Restante/dev', Dimensions: [['service']], Metrics: [{ Name: 'connections' }] }],
    },
    service: 'gateway',
    connections: 7,
  });
});

test('a counter is what was added since the line before', async () => {
  const { registry, lines } = setUp();
  const counter = new Counter({
    name: 'restante_gateway_closes_total',
    help: 'h',
    labelNames: ['code'],
    registers: [registry],
  });
  counter.inc({ code: '4000' }, 5);
  expect(parse(await lines.next(1))[0].closes_total).toBe(5);
  counter.inc({ code: '4000' }, 2);
  counter.inc({ code: '4003' }, 1);
  expect(parse(await lines.next(2))[0].closes_total).toBe(3);
  expect(parse(await lines.next(3))[0].closes_total).toBe(0);
});

test('outcomes are told apart, beside their sum', async () => {
  const { registry, lines } = setUp();
  const counter = new Counter({
    name: 'restante_gateway_pushes_total',
    help: 'h',
    labelNames: ['outcome'],
    registers: [registry],
  });
  counter.inc({ outcome: 'sent' }, 5);
  counter.inc({ outcome: 'no token' }, 2);
  expect(parse(await lines.next(1))[0]).toMatchObject({
    pushes_total: 7,
    pushes_total_sent: 5,
    pushes_total_no_token: 2,
  });
});

test('a histogram keeps its distribution since the line before, and is left out when nothing was observed', async () => {
  const { registry, lines } = setUp();
  const histogram = new Histogram({
    name: 'restante_gateway_accept_seconds',
    help: 'h',
    buckets: [0.01, 0.1],
    registers: [registry],
  });
  for (const seconds of [0.001, 0.002, 0.05, 7]) histogram.observe(seconds);
  const [first] = parse(await lines.next(1));
  expect(first.accept_seconds).toEqual({ Values: [0.01, 0.1, 0.2], Counts: [2, 1, 1] });
  expect(first._aws.CloudWatchMetrics[0].Metrics).toEqual([{ Name: 'accept_seconds', Unit: 'Seconds' }]);
  histogram.observe(0.05);
  expect(parse(await lines.next(2))[0].accept_seconds).toEqual({ Values: [0.1], Counts: [1] });
  expect(await lines.next(3)).toEqual([]);
});

test("other libraries' metrics are not sent: each is paid for", async () => {
  const { registry, lines } = setUp();
  new Gauge({ name: 'process_cpu_seconds', help: 'h', registers: [registry] }).set(1);
  expect(await lines.next(1)).toEqual([]);
});

test('no line has more metrics than CloudWatch takes', async () => {
  const { registry, lines } = setUp();
  for (let i = 0; i < 150; i++) new Gauge({ name: `restante_gateway_g${i}`, help: 'h', registers: [registry] }).set(i);
  expect(parse(await lines.next(1)).map((line) => line._aws.CloudWatchMetrics[0].Metrics.length)).toEqual([100, 50]);
});

test('what happened since the last line is written when it stops', async () => {
  const { registry, written, options } = setUp();
  const stop = startCloudWatchMetrics(options);
  new Gauge({ name: 'restante_gateway_connections', help: 'h', registers: [registry] }).set(1);
  expect(written).toEqual([]);
  await stop();
  expect(parse(written)).toMatchObject([{ connections: 1 }]);
});

test('without a namespace nothing is written', async () => {
  const { registry, written, options } = setUp();
  new Gauge({ name: 'restante_gateway_connections', help: 'h', registers: [registry] }).set(1);
  await startCloudWatchMetrics({ ...options, namespace: undefined })();
  expect(written).toEqual([]);
});

test("a service's name is not repeated in its metrics' names", () => {
  expect(cloudWatchName('gateway', 'restante_gateway_connections')).toBe('connections');
  expect(cloudWatchName('messaging', 'restante_kafka_lag')).toBe('kafka_lag');
});
