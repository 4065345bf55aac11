import { type MetricObjectWithValues, type MetricValue, type Registry, register } from 'prom-client';

/**
 * CloudWatch's embedded metric format: a line of JSON in the log from which CloudWatch takes metrics. So a task needs no
 * agent beside it, no call and no right beyond its log; histograms keep their percentiles, which a scraper would lose.
 */
const PERIOD_MS = 60_000;
const OURS = /^restante_/;
/** What the format takes at most in one line. */
const METRICS_PER_LINE = 100;

type Metric = MetricObjectWithValues<MetricValue<string>>;
type Distribution = { Values: number[]; Counts: number[] };
type Value = [name: string, value: number | Distribution];
type Options = { namespace: string; service: string; registry: Registry };

/** What a service passes: without a namespace nothing is written. */
type StartOptions = { namespace: string | undefined; service: string; registry?: Registry; write?(line: string): void };

/** Writes a line a minute. @returns stop */
export function startCloudWatchMetrics({ namespace, service, ...more }: StartOptions): () => Promise<void> {
  if (namespace === undefined) return async () => {};
  const lines = new MetricLines({ namespace, service, registry: more.registry ?? register });
  const write = more.write ?? ((line: string) => void process.stdout.write(line));
  const emit = async (): Promise<void> => {
    for (const line of await lines.next(Date.now())) write(`${line}\n`);
  };
  const timer = setInterval(() => void emit(), PERIOD_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    // The last minute of a task is the one that explains why it stopped.
    await emit();
  };
}

/** The name of a metric in CloudWatch: `restante_gateway_accept_seconds` is `accept_seconds` of the service `gateway`. */
export function cloudWatchName(service: string, name: string): string {
  return name.replace(OURS, '').replace(new RegExp(`^${service}_`), '');
}

/** Turns what a registry counts since the start of the process into what happened since the last line. */
export class MetricLines {
  readonly #options: Options;
  readonly #before = new Map<string, number>();

  constructor(options: Options) {
    this.#options = options;
  }

  async next(now: number): Promise<string[]> {
    const metrics = ((await this.#options.registry.getMetricsAsJSON()) as Metric[]).filter(({ name }) =>
      OURS.test(name),
    );
    const values = metrics.flatMap((metric) => this.#valuesOf(metric));
    const lines: string[] = [];
    for (let i = 0; i < values.length; i += METRICS_PER_LINE)
      lines.push(this.#line(now, values.slice(i, i + METRICS_PER_LINE)));
    return lines;
  }

  #line(now: number, values: Value[]): string {
    const { namespace, service } = this.#options;
    const Metrics = values.map(([Name]) => ({ Name, ...(Name.endsWith('_seconds') ? { Unit: 'Seconds' } : {}) }));
    return JSON.stringify({
      _aws: { Timestamp: now, CloudWatchMetrics: [{ Namespace: namespace, Dimensions: [['service']], Metrics }] },
      service,
      ...Object.fromEntries(values),
    });
  }

  /**
   * Labels are summed: each of their values would be a metric of its own, and paid as one. Only `outcome` is told apart, as
   * `pushes_total_failed`: what went wrong is what alarms are for.
   */
  #valuesOf(metric: Metric): Value[] {
    const name = cloudWatchName(this.#options.service, metric.name);
    // prom-client types `type` as an enum whose values at run time are these words.
    const type = String(metric.type);
    if (type === 'gauge') return [[name, metric.values.reduce((sum, { value }) => sum + value, 0)]];
    if (type === 'histogram') return this.#distribution(metric).map((distribution) => [name, distribution]);
    if (type !== 'counter') return [];
    const sums = new Map<string, number>([[name, 0]]);
    for (const { value, labels } of metric.values) {
      const since = this.#since(keyOf(metric.name, labels), value);
      const names = labels.outcome === undefined ? [name] : [name, `${name}_${labels.outcome}`.replace(/\W/g, '_')];
      for (const one of names) sums.set(one, (sums.get(one) ?? 0) + since);
    }
    return [...sums];
  }

  #since(key: string, value: number): number {
    const since = value - (this.#before.get(key) ?? 0);
    this.#before.set(key, value);
    return since;
  }

  /** A bucket's observations are given at its upper bound: a percentile is then never flattered. */
  #distribution(metric: Metric): Distribution[] {
    const cumulative = new Map<number, number>();
    for (const { value, labels, metricName } of metric.values as (MetricValue<string> & { metricName?: string })[]) {
      if (!metricName?.endsWith('_bucket')) continue;
      const bound = Number(labels.le === '+Inf' ? Number.POSITIVE_INFINITY : labels.le);
      cumulative.set(bound, (cumulative.get(bound) ?? 0) + this.#since(keyOf(metricName, labels), value));
    }
    const bounds = [...cumulative.keys()].sort((a, b) => a - b);
    const Values: number[] = [];
    const Counts: number[] = [];
    let below = 0;
    bounds.forEach((bound, index) => {
      const count = cumulative.get(bound)! - below;
      below = cumulative.get(bound)!;
      if (count <= 0) return;
      // Beyond the last bound nothing is known but that it is beyond.
      Values.push(Number.isFinite(bound) ? bound : 2 * (bounds[index - 1] ?? 1));
      Counts.push(count);
    });
    return Counts.length === 0 ? [] : [{ Values, Counts }];
  }
}

const keyOf = (name: string, labels: object): string => `${name}${JSON.stringify(labels)}`;
